"""The plan of a run: its cells, kernel by kernel."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from guest.catalogue import Experiment
from vms.hardware import Hardware
from vms.kernels.kernel import Kernel

SCRIPT, SUITE = "script", "suite"
"""What the names of experiments that are programs of the user's begin with."""


@dataclass(frozen=True)
class Cell:
    """One experiment in one variant on one kernel."""

    kernel: Kernel
    experiment: Experiment
    variant: Mapping[str, str]

    @property
    def key(self) -> tuple[str, str, str]:
        """Names the cell within a run: kernel, experiment, variant."""
        return self.kernel.name, self.experiment.name, variant_name(self.variant)

    @property
    def hardware(self) -> Hardware:
        """What its guest has: its variant's parameters `cpus`, `memory` (MiB) and `avx2`, else what
        its experiment declares, else what is usual.
        """
        usual = Hardware(cpus=self.experiment.cpus)
        return Hardware(
            memory=int(self.variant.get("memory", usual.memory)),
            cpus=int(self.variant.get("cpus", usual.cpus)),
            avx2=self.variant.get("avx2", usual.avx2),
        )


@dataclass(frozen=True)
class Plan:
    """The cells of a run, and its kernels and experiments in the order in which tables show
    them.
    """

    kernels: tuple[Kernel, ...]
    experiments: tuple[Experiment, ...]
    cells: tuple[Cell, ...]

    def of(self, kernel: Kernel) -> tuple[Cell, ...]:
        """The cells of one kernel."""
        return tuple(cell for cell in self.cells if cell.kernel.name == kernel.name)


def variant_name(variant: Mapping[str, str]) -> str:
    """A variant as tables and directories show it: `frontend=legacy,scope=user`; empty if the
    experiment has none.
    """
    return ",".join(f"{name}={value}" for name, value in variant.items())


def cell_label(experiment: str, variant: str) -> str:
    """An experiment and its variants as reports name them: `table-full [scope=user]`."""
    return f"{experiment} [{variant}]" if variant else experiment


@dataclass(frozen=True)
class Choice:
    """An experiment and its selected variants."""

    experiment: Experiment
    variants: tuple[Mapping[str, str], ...]


def make_plan(kernels: Sequence[Kernel], experiments: Iterable[Experiment]) -> Plan:
    """Plans every variant of every experiment on every kernel."""
    return plan_choices(
        kernels, [Choice(experiment, tuple(experiment.combinations())) for experiment in experiments]
    )


def plan_choices(kernels: Sequence[Kernel], choices: Sequence[Choice]) -> Plan:
    """Plans the selected variants on every kernel."""
    cells = [
        Cell(kernel, choice.experiment, variant)
        for kernel in kernels
        for choice in choices
        for variant in choice.variants
    ]
    return Plan(tuple(kernels), tuple(choice.experiment for choice in choices), tuple(cells))
