"""Reads from the history how a fact changed across runs and builds."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from operator import itemgetter
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Connection, Engine, Row, and_, select

from matrix.history.models import Entry, Fact, Outcome, Run, RunSheet, Sheet
from matrix.history.models import Kernel as KernelRow
from matrix.plan.selection import has_values, wanted_values
from matrix.results.record import FactValue, Status
from vms.errors import UsageError
from vms.kernels.kernel import Build
from vms.kernels.order import build_key
from vms.program import COMMAND
from vms.suggest import suggestion

_EXACT = re.compile(r"(?P<experiment>[\w.-]+)(?:\[(?P<variant>[^\[\]]*)\])?:(?P<name>\w+)")


@dataclass(frozen=True)
class Span:
    """Consecutive runs in which a cell gave the same answer.

    `value` is None where the outcome does not hold the fact (`status` says why).
    """

    status: Status
    value: FactValue | None
    reason: str
    first: datetime
    last: datetime
    runs: int


@dataclass(frozen=True)
class Line:
    """One fact of one cell through time: spans in the order of their runs.

    `id` tells apart builds that share a name.
    """

    kernel: str
    id: str
    release: str
    version: str
    experiment: str
    variant: str
    fact: str
    spans: tuple[Span, ...]

    @property
    def parameters(self) -> dict[str, str]:
        """The variant, parameter by parameter."""
        return dict(part.split("=", 1) for part in self.variant.split(",") if part)


def timeline(engine: Engine, fact: str) -> tuple[Line, ...]:
    """A line for each cell that ever had the fact, by experiment, variant and kernel.

    `fact` is `mangle_packets`, `table-full.mangle_packets` for that experiment alone, or as other
    commands have it `table-full[scope=root]:mangle_packets`. Raises UsageError if no run has the
    fact, or the variant cannot be read.
    """
    wanted: Mapping[str, Collection[str]] = {}
    if exact := _EXACT.fullmatch(fact):
        experiment, name = exact["experiment"], exact["name"]
        wanted = wanted_values(exact["variant"], fact) if exact["variant"] else {}
    else:
        experiment, _, name = fact.rpartition(".")
    with engine.connect() as connection:
        experiments = _experiments(connection, name, experiment)
        lines = _lines(connection, name, experiments)
        found = tuple(line for line in lines if has_values(line.parameters, wanted))
        if not found:
            raise UsageError(_nothing(connection, fact, name))
        return found


def fact_names(engine: Engine) -> tuple[str, ...]:
    """Every fact that any run has, as `experiment.fact`."""
    with engine.connect() as connection:
        found = connection.execute(
            select(Outcome.experiment, Fact.name).join(Fact, Fact.outcome == Outcome.digest).distinct()
        )
        return tuple(sorted(f"{experiment}.{name}" for experiment, name in found))


def _experiments(connection: Connection, name: str, experiment: str) -> list[str]:
    wanted = (
        select(Outcome.experiment)
        .join(Fact, Fact.outcome == Outcome.digest)
        .where(Fact.name == name)
        .distinct()
    )
    if experiment:
        wanted = wanted.where(Outcome.experiment == experiment)
    return list(connection.scalars(wanted))


def _nothing(connection: Connection, fact: str, name: str) -> str:
    if connection.scalar(select(Run.id).limit(1)) is None:
        return (
            f"history: no run is recorded yet; `{COMMAND} matrix` records each run, `{COMMAND} history"
            " --rebuild` those in results/"
        )
    names = connection.scalars(select(Fact.name).distinct()).all()
    return f"history: no run has a fact {fact!r}; {suggestion(name, names, f'`{COMMAND} history` lists all')}"


def _lines(connection: Connection, name: str, experiments: list[str]) -> Iterator[Line]:
    kernels = {row.id: row for row in connection.execute(select(KernelRow.__table__))}
    stretches = _stretches(connection)
    cells = connection.execute(
        select(
            Outcome.experiment,
            Entry.variant,
            Sheet.kernel,
            Entry.sheet,
            Outcome.status,
            Fact.value,
            Outcome.reason,
        )
        .join(Entry, Entry.outcome == Outcome.digest)
        .join(Sheet, Sheet.digest == Entry.sheet)
        .outerjoin(Fact, and_(Fact.outcome == Outcome.digest, Fact.name == name))
        .where(Outcome.experiment.in_(experiments))
    )
    by_cell: dict[tuple[str, str, str], dict[str, _Answer]] = defaultdict(dict)
    for experiment, variant, kernel, sheet, status, value, reason in cells:
        by_cell[experiment, variant, kernel][sheet] = _Answer(status, value, reason)
    in_order = sorted(kernels.values(), key=lambda row: (build_key(_build(row)), row.id))
    order = {row.id: place for place, row in enumerate(in_order)}
    for experiment, variant, kernel in sorted(by_cell, key=lambda cell: (cell[0], cell[1], order[cell[2]])):
        row = kernels[kernel]
        spans = tuple(_spans(stretches[kernel], by_cell[experiment, variant, kernel]))
        yield Line(row.name, row.id, row.release, row.version, experiment, variant, name, spans)


class _Answer(NamedTuple):
    """The part of an outcome that concerns the fact: outcomes that differ in other facts only are
    equal answers.
    """

    status: str
    value: str | None
    reason: str


class _Stretch(NamedTuple):
    """Consecutive runs of a kernel with one sheet."""

    sheet: str
    first: datetime
    last: datetime
    runs: int


def _stretches(connection: Connection) -> dict[str, list[_Stretch]]:
    """Each kernel's stretches, in the order of their runs."""
    runs = _in_order(connection.execute(select(Run.__table__)).all())
    place = {row.id: at for at, row in enumerate(runs)}
    found = connection.execute(
        select(Sheet.kernel, RunSheet.sheet, RunSheet.run).join(Sheet, Sheet.digest == RunSheet.sheet)
    ).all()
    rows = sorted(((kernel, place[run], sheet) for kernel, sheet, run in found), key=itemgetter(0, 1))
    stretches: dict[str, list[_Stretch]] = defaultdict(list)
    for (kernel, sheet), group in groupby(rows, key=itemgetter(0, 2)):
        started = [runs[at].started.replace(tzinfo=UTC) for _, at, _ in group]
        stretches[kernel].append(_Stretch(sheet, started[0], started[-1], len(started)))
    return stretches


def _in_order(runs: Sequence[Row[Any]]) -> list[Row[Any]]:
    """The runs from the oldest to the newest: those of a machine by number, and those of several
    machines by start, where a start counts no later than that of the machine's next run.

    So a clock that was ahead for a while moves no run behind those that followed it.
    """
    at: dict[int, datetime] = {}
    following: dict[str, datetime] = {}
    for run in sorted(runs, key=lambda run: (run.number, run.started, run.id), reverse=True):
        at[run.id] = following[run.machine] = min(run.started, following.get(run.machine, run.started))
    return sorted(runs, key=lambda run: (at[run.id], run.number, run.started, run.id))


def _spans(stretches: list[_Stretch], answers: dict[str, _Answer]) -> Iterator[Span]:
    ran = [(answers[stretch.sheet], stretch) for stretch in stretches if stretch.sheet in answers]
    # `error` says nothing about the kernel, so it ends no span; it is shown if all is `error`.
    ran = [pair for pair in ran if pair[0].status != Status.ERROR] or ran
    for answer, group in groupby(ran, key=lambda pair: pair[0]):
        same = [stretch for _, stretch in group]
        value = None if answer.value is None else msgspec.json.decode(answer.value, type=FactValue)
        runs = sum(stretch.runs for stretch in same)
        yield Span(Status(answer.status), value, answer.reason, same[0].first, same[-1].last, runs)


def _build(row: Row[Any]) -> Build:
    return Build(row.name, row.id, row.series, row.release, row.flavour, row.version)
