"""The tasks of `./invoke`. Each is defined in `commands/`."""

from commands.bench import bench
from commands.distributed import scheduler, worker
from commands.kernels import cache, kernels, lock, prune
from commands.nights import accept, nightly
from commands.project import catalogue, doctor, experiments, reference, test
from commands.reading import compare, export, history, upgrade
from commands.running import controls, matrix
from commands.scripts import script

__all__ = [
    "accept",
    "bench",
    "cache",
    "catalogue",
    "compare",
    "controls",
    "doctor",
    "experiments",
    "export",
    "history",
    "kernels",
    "lock",
    "matrix",
    "nightly",
    "prune",
    "reference",
    "scheduler",
    "script",
    "test",
    "upgrade",
    "worker",
]
