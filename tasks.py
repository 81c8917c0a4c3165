"""The tasks of `./invoke`. What each does stands in `commands/`."""

from commands.kernels import cache, kernels, lock, prune
from commands.project import doctor, experiments, test
from commands.reading import export, history, upgrade
from commands.running import accept, matrix, nightly

__all__ = [
    "accept",
    "cache",
    "doctor",
    "experiments",
    "export",
    "history",
    "kernels",
    "lock",
    "matrix",
    "nightly",
    "prune",
    "test",
    "upgrade",
]
