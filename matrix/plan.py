"""What a run will do: its cells, kernel by kernel."""

from __future__ import annotations

import difflib
import fnmatch
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from guest.catalogue import Experiment
from vms.errors import UsageError
from vms.kernels.kernel import Kernel


@dataclass(frozen=True)
class Cell:
    """One question to one kernel: kernel x experiment x variant."""

    kernel: Kernel
    experiment: Experiment
    variant: Mapping[str, str]

    @property
    def key(self) -> tuple[str, str, str]:
        """Names the cell within a run: kernel, experiment, variant."""
        return self.kernel.name, self.experiment.name, variant_name(self.variant)


@dataclass(frozen=True)
class Plan:
    """The cells of a run, and its kernels and experiments in the order in which tables show them."""

    kernels: tuple[Kernel, ...]
    experiments: tuple[Experiment, ...]
    cells: tuple[Cell, ...]

    def of(self, kernel: Kernel) -> tuple[Cell, ...]:
        """The cells of one kernel."""
        return tuple(cell for cell in self.cells if cell.kernel.name == kernel.name)


def variant_name(variant: Mapping[str, str]) -> str:
    """A variant as tables and directories show it: `frontend=legacy,scope=user`; empty if the experiment has none."""
    return ",".join(f"{name}={value}" for name, value in variant.items())


def make_plan(kernels: Sequence[Kernel], experiments: Sequence[Experiment]) -> Plan:
    """Every variant of every experiment on every kernel."""
    cells = [Cell(kernel, experiment, variant) for kernel in kernels for experiment in experiments for variant in experiment.combinations()]
    return Plan(tuple(kernels), tuple(experiments), tuple(cells))


def choose_experiments(globs: Iterable[str], catalogue: Mapping[str, Experiment]) -> tuple[Experiment, ...]:
    """The experiments that any glob matches, in the catalogue's order. Raises UsageError for a glob that matches none."""
    chosen: set[str] = set()
    for glob in globs:
        found = fnmatch.filter(catalogue, glob)
        if not found:
            near = difflib.get_close_matches(glob, catalogue, n=3)
            meant = f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(catalogue)}"
            raise UsageError(f"no experiment {glob!r}; {meant}")
        chosen.update(found)
    if not chosen:
        raise UsageError("no experiments are chosen: `experiments` in matrix.toml is empty and no -e is given")
    return tuple(experiment for name, experiment in catalogue.items() if name in chosen)
