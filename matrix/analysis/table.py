"""A run as a table: experiments down, kernels across. The one model behind every report."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from guest.catalogue import Experiment
from matrix.analysis.behaviour import behaviours
from matrix.analysis.compare import compare_cells, neighbours
from matrix.analysis.fact_value import frozen_facts
from matrix.analysis.variants import grouped
from matrix.analysis.wording.tell import tell
from matrix.plan.plan import variant_name
from matrix.results.manifest import KernelEntry, Manifest
from matrix.results.record import Record, Status
from vms.kernels.order import build_key
from vms.splats import Splat


@dataclass(frozen=True)
class Row:
    """One experiment in the variants with equal answers on every kernel.

    `label` names those variants; it is empty for all. `records`: one per kernel, from the first
    variant; None if that cell did not run. `changed`: for each kernel the facts that differ from
    the nearest comparable kernel to the left.
    """

    experiment: str
    question: str
    label: str
    variants: tuple[Mapping[str, str], ...]
    records: tuple[Record | None, ...]
    changed: tuple[frozenset[str], ...]

    @property
    def differs(self) -> bool:
        """Whether any two neighbouring kernels differ."""
        return any(self.changed)

    @cached_property
    def behaviours(self) -> tuple[int, ...]:
        """The number of each cell's behaviour: equal numbers are equal answers."""
        return behaviours(self.records)

    @cached_property
    def words(self) -> tuple[str, ...]:
        """What each cell answers in a few words, which are equal exactly if the facts are; no words
        at all if the experiment declares none.
        """
        return tell(self.records)

    @property
    def facts(self) -> tuple[str, ...]:
        """The names of all facts in the row, in order of declaration."""
        return tuple(dict.fromkeys(fact for record in self.records if record for fact in record.facts))


@dataclass(frozen=True)
class Table:
    """A whole run. `kernels` are in kernel order, `counts` has the number of cells per status,
    `marked` is the number of cells whose kernels reported errors in their logs.
    """

    manifest: Manifest
    kernels: tuple[KernelEntry, ...]
    rows: tuple[Row, ...]
    counts: Mapping[Status, int]
    marked: int

    @property
    def splats(self) -> Mapping[Splat, tuple[Record, ...]]:
        """Each splat of the run, with the first variant of each row's cells that have it."""
        found: dict[Splat, list[Record]] = {}
        for record in (record for row in self.rows for record in row.records if record):
            for splat in record.splats:
                found.setdefault(splat, []).append(record)
        return {splat: tuple(records) for splat, records in found.items()}

    @property
    def boots(self) -> tuple[tuple[str, str], ...]:
        """Each report of a kernel's boot, on a line, after the kernel's name."""
        return tuple((kernel.name, line) for kernel in self.kernels for line in kernel.boot.lines)


def make_table(manifest: Manifest, records: Iterable[Record], catalogue: Mapping[str, Experiment]) -> Table:
    """The table of a run, in the order of the catalogue; experiments that the catalogue no longer
    has come last, without a question.
    """
    kernels = tuple(sorted(manifest.kernels, key=build_key))
    by_cell: dict[str, dict[str, dict[str, Record]]] = {}
    counts = dict.fromkeys(Status, 0)
    marked = 0
    for record in records:
        by_cell.setdefault(record.experiment, {}).setdefault(variant_name(record.variant), {})[
            record.kernel
        ] = record
        counts[record.status] += 1
        marked += bool(record.splats)
    order = {name: number for number, name in enumerate(catalogue)}
    rows: list[Row] = []
    for name in sorted(by_cell, key=lambda name: (order.get(name, len(order)), name)):
        experiment = catalogue.get(name)
        rows += _rows(
            name,
            experiment,
            [[cells.get(kernel.name) for kernel in kernels] for cells in by_cell[name].values()],
        )
    return Table(manifest, kernels, tuple(rows), counts, marked)


def _rows(name: str, experiment: Experiment | None, lines: list[list[Record | None]]) -> list[Row]:
    """The rows of one experiment: variants with equal answers on every kernel share one."""
    everything = _everything(experiment, [_variant(line) for line in lines])
    question = experiment.question if experiment else ""
    return [
        Row(
            name,
            question,
            label,
            tuple(_variant(line) for line in group),
            tuple(group[0]),
            _changed(group[0]),
        )
        for label, group in grouped(lines, _answers, _variant, lambda _: everything)
    ]


def _everything(
    experiment: Experiment | None, asked: Sequence[Mapping[str, str]]
) -> Sequence[Mapping[str, str]]:
    """All variants, so that a run of some of them names those: the catalogue's, or those of the run
    if the experiment had others then.
    """
    declared = experiment.combinations() if experiment else []
    return declared if all(variant in declared for variant in asked) else asked


def _variant(line: list[Record | None]) -> Mapping[str, str]:
    return next(record.variant for record in line if record)


def _answers(line: list[Record | None]) -> Hashable:
    return tuple(
        record and (record.status, frozen_facts(record.facts), record.splats, record.reason)
        for record in line
    )


def _changed(line: list[Record | None]) -> tuple[frozenset[str], ...]:
    """For each cell the facts that differ from its left neighbour's."""
    changed: list[frozenset[str]] = [frozenset()] * len(line)
    for _, column, before, after in neighbours(line):
        changed[column] = frozenset(
            difference.fact for difference in compare_cells(before, after) if difference.kind.is_change
        )
    return tuple(changed)
