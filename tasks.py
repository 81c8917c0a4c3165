"""The tasks of `./invoke`. Each is defined in `commands/`."""

from commands.agents import mcp
from commands.bench import bench
from commands.bisecting import bisect, verdict
from commands.ci import ci
from commands.completion import completion
from commands.distributed import scheduler, worker
from commands.fresh import fresh
from commands.kernels import cache, kernels, lock, prune
from commands.manual import manual
from commands.nights import accept, nightly
from commands.project import catalogue, controls, docs, doctor, experiments, test
from commands.publishing import reference, site
from commands.reading import compare, export, history, upgrade
from commands.running import matrix, replay, watch
from commands.scripts import console, script, shell
from commands.suites import suite

__all__ = [
    "accept",
    "bench",
    "bisect",
    "cache",
    "catalogue",
    "ci",
    "compare",
    "completion",
    "console",
    "controls",
    "docs",
    "doctor",
    "experiments",
    "export",
    "fresh",
    "history",
    "kernels",
    "lock",
    "manual",
    "matrix",
    "mcp",
    "nightly",
    "prune",
    "reference",
    "replay",
    "scheduler",
    "script",
    "shell",
    "site",
    "suite",
    "test",
    "upgrade",
    "verdict",
    "watch",
    "worker",
]
