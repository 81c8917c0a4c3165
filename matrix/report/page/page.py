"""The contents of the HTML page, before any markup: rows, cells, their marks, and the data that the
page's script reads.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matrix.analysis.analysis import Analysis, ExplainedChange
from matrix.analysis.behaviour import GLYPHS, colour, letter
from matrix.analysis.ledger.explain import Verdict
from matrix.analysis.table import Table
from matrix.report.page.brief import brief
from matrix.report.page.embedded import PageRow, embedded
from matrix.report.page.evidence import pack_evidence
from matrix.report.page.strips import strips
from matrix.report.words import counted
from matrix.results.manifest import KernelEntry, Manifest
from matrix.results.record import Record, Status
from vms.program import COMMAND
from vms.text import shown

ROOMY_KERNELS = 12
"""With at most this many kernels, each strip shows some facts; with more, only wide ones do."""

_SPAN_WITH_FACTS = 4  # kernels of a strip in a dense table, from which on facts may have room

SPLAT_GLYPH = "⚠"
"""The glyph of a cell whose kernel reported errors in its log."""

VERDICT_GLYPHS = {Verdict.EXPLAINED: "", Verdict.UNEXPLAINED: "?", Verdict.CONTRADICTED: "≠"}


@dataclass(frozen=True)
class Line:
    """One line in a cell: a fact, or several, and what they are; `changed` if the left neighbour
    has another text there.
    """

    name: str
    text: str
    changed: bool


@dataclass(frozen=True)
class CellView:
    """One cell in the static table: its CSS classes, its mark (letter and glyph) and, if a strip
    begins here, some facts.
    """

    css: str
    mark: str
    lines: tuple[Line, ...]


@dataclass(frozen=True)
class RowView:
    """One experiment in one variant, across all kernels."""

    experiment: str
    label: str
    question: str
    differs: bool
    cells: tuple[CellView, ...]


@dataclass(frozen=True)
class Section:
    """The rows of one topic."""

    topic: str
    rows: tuple[RowView, ...]


@dataclass(frozen=True)
class KernelView:
    """One column; `opens` is true for the first kernel of a series.

    `changes` counts the rows in which the kernel differs from its left neighbour.
    """

    name: str
    version: str
    flavour: str
    suite: str
    uname: str
    title: str
    opens: bool
    changes: int


@dataclass(frozen=True)
class Group:
    """Neighbouring kernels of one series."""

    series: str
    columns: int


@dataclass(frozen=True)
class Count:
    """A number in the summary, and the query that shows what was counted."""

    number: int
    word: str
    term: str
    css: str
    glyph: str


@dataclass(frozen=True)
class Legend:
    """A mark and what it means."""

    css: str
    glyph: str
    text: str


@dataclass(frozen=True)
class Page:
    """Everything that the template needs.

    `data` is for the script; `evidence` has one packed blob per row, in row order.
    """

    title: str
    heading: str
    summary: tuple[str, ...]
    counts: tuple[Count, ...]
    kernels: tuple[KernelView, ...]
    groups: tuple[Group, ...]
    sections: tuple[Section, ...]
    topics: tuple[str, ...]
    statuses: tuple[str, ...]
    every_status: tuple[str, ...]
    legend: tuple[Legend, ...]
    ledger: tuple[dict[str, str], ...]
    about: tuple[tuple[str, str], ...]
    boots: tuple[tuple[str, str], ...]
    roomy: bool
    data: dict[str, Any]
    evidence: tuple[str, ...]


def make_page(analysis: Analysis, run: Path) -> Page:
    """The page of one run. `run` is its directory, from which evidence is read."""
    table = analysis.table
    roomy = len(table.kernels) <= ROOMY_KERNELS
    sections: dict[str, list[PageRow]] = {}
    for row, changes in analysis.rows:
        experiment = analysis.catalogue.get(row.experiment)
        topic = experiment.topic if experiment else "no longer in the catalogue"
        sections.setdefault(topic, []).append(PageRow(topic, row, experiment, changes))
    ordered = [page_row for rows in sections.values() for page_row in rows]
    data = embedded(table, ordered)
    manifest = table.manifest
    return Page(
        title=f"conntrack-matrix {manifest.run}",
        heading="What each kernel does with connections",
        summary=_summary(table),
        counts=(
            *_differing_count(table),
            *_status_counts(table),
            *_marked_count(table),
            *_change_counts(ordered),
        ),
        kernels=_kernels(table.kernels, ordered),
        groups=_groups(table.kernels),
        sections=tuple(
            Section(topic, tuple(row_view(page_row, roomy=roomy) for page_row in rows))
            for topic, rows in sections.items()
        ),
        topics=tuple(sections),
        statuses=tuple(str(status) for status, number in table.counts.items() if number),
        every_status=tuple(Status),
        legend=_legend(),
        ledger=tuple(data["ledger"]),
        about=_about(manifest),
        boots=table.boots,
        roomy=roomy,
        data=data,
        evidence=pack_evidence(run, [page_row.row for page_row in ordered]),
    )


def _differing_count(table: Table) -> tuple[Count, ...]:
    differing = sum(row.differs for row in table.rows)
    return (Count(differing, f"of {len(table.rows)} rows differ", "differs", "k1", "B"),) if differing else ()


def _status_counts(table: Table) -> tuple[Count, ...]:
    return tuple(
        Count(number, str(status), f"status:{status}", str(status), GLYPHS[status] or "✓")
        for status, number in table.counts.items()
        if number
    )


def _marked_count(table: Table) -> tuple[Count, ...]:
    return (Count(table.marked, "with splats", "splats", "splat", SPLAT_GLYPH),) if table.marked else ()


def _change_counts(rows: Sequence[PageRow]) -> tuple[Count, ...]:
    verdicts = Counter(change.verdict for of in rows for change in of.changes.values())
    return tuple(
        Count(
            verdicts[verdict],
            f"{verdict} {'changes' if verdicts[verdict] > 1 else 'change'}",
            verdict,
            verdict,
            glyph,
        )
        for verdict, glyph in VERDICT_GLYPHS.items()
        if verdicts[verdict]
    )


def row_view(of: PageRow, *, roomy: bool) -> RowView:
    """How a row looks. If there is room, each of its strips shows some facts."""
    row = of.row
    lines, spans = brief(row), strips(row)
    least = 1 if roomy else _SPAN_WITH_FACTS
    return RowView(
        experiment=shown(row.experiment, 100),
        label=shown(row.label, 200),
        question=row.question,
        differs=row.differs,
        cells=tuple(
            _cell(
                record,
                number,
                of.changes.get(column),
                spans[column],
                [
                    Line(line.name, line.values[column], bool(row.changed[column] & set(line.facts)))
                    for line in lines
                    if spans[column] >= least
                ],
            )
            for column, (record, number) in enumerate(zip(row.records, row.behaviours, strict=True))
        ),
    )


def _cell(
    record: Record | None,
    number: int,
    change: ExplainedChange | None,
    span: int,
    lines: Sequence[Line],
) -> CellView:
    if record is None:
        return CellView("none", "", ())
    glyph = GLYPHS[record.status] + (SPLAT_GLYPH if record.splats else "")
    status = str(record.status) if record.status is not Status.PASS else ""
    verdict = change.verdict if change else ""
    splat = "splat" if record.splats else ""
    strip = f"s{span}" if span > 1 else "" if span else "j"
    classes = " ".join(filter(None, (colour(number), status, splat, verdict, strip)))
    mark = letter(number) + glyph
    if lines and not record.facts:
        return CellView(classes, mark, (Line("", str(record.status), False),))
    return CellView(classes, mark, tuple(lines))


def _kernels(kernels: Sequence[KernelEntry], rows: Sequence[PageRow]) -> tuple[KernelView, ...]:
    views = []
    changes = Counter(column for of in rows for column in of.changes)
    for place, k in enumerate(kernels):
        opens = place == 0 or kernels[place - 1].series != k.series
        views.append(
            KernelView(
                k.name,
                k.version,
                k.flavour,
                k.suite,
                shown(k.uname, 120),
                f"{k.name}: package version {k.version}, {k.flavour}",
                opens,
                changes[place],
            )
        )
    return tuple(views)


def _groups(kernels: Sequence[KernelEntry]) -> tuple[Group, ...]:
    groups: list[Group] = []
    for kernel in kernels:
        if groups and groups[-1].series == kernel.series:
            groups[-1] = Group(kernel.series, groups[-1].columns + 1)
        else:
            groups.append(Group(kernel.series, 1))
    return tuple(groups)


def _summary(table: Table) -> tuple[str, ...]:
    kernels, manifest = table.kernels, table.manifest
    span = (
        f"{len(kernels)} kernels, {kernels[0].name} to {kernels[-1].name}"
        if len(kernels) > 1
        else f"kernel {kernels[0].name}"
    )
    when = manifest.started.replace("T", " ").replace("+00:00", " UTC")
    partial = (
        () if manifest.finished else (f"not finished: {counted(sum(table.counts.values()), 'cell')} so far",)
    )
    return (
        *partial,
        span,
        f"{counted(len(manifest.experiments), 'experiment')} in {counted(len(table.rows), 'row')}",
        when,
        f"{manifest.surroundings.accelerator.upper()}, QEMU {manifest.surroundings.qemu.partition(' ')[0]}",
    )


def _about(manifest: Manifest) -> tuple[tuple[str, str], ...]:
    around = manifest.surroundings
    return (
        ("command", f"{COMMAND} {' '.join(manifest.command)}"),
        ("started", manifest.started),
        (
            "finished",
            manifest.finished or "not yet; the page has the cells that were done by then",
        ),
        *(
            (("answers of earlier runs", ", ".join(f"{n} of {run}" for run, n in manifest.reused.items())),)
            if manifest.reused
            else ()
        ),
        ("accelerator", f"{around.accelerator}: {around.why}"),
        ("QEMU", around.qemu),
        ("host CPU", around.cpu),
        ("userland", around.userland) if around.userland else ("image", around.image),
        ("agent", around.agent),
        *(
            (("left out", f"gone from their archive: {', '.join(manifest.left_out)}"),)
            if manifest.left_out
            else ()
        ),
    )


def _legend() -> tuple[Legend, ...]:
    return (
        Legend("k0", "A", "equal letters in a row: equal facts. A is what the oldest kernel did"),
        Legend("k1", "B", "the next behaviour, and so on; a row of one colour never changed"),
        Legend("k1", "*", "behind words: the same words as another behaviour's, but not the same facts"),
        Legend("k1 fail", "B✗", "the kernel broke an invariant (fail)"),
        Legend("unsupported", "-", "the kernel does not support this (unsupported)"),
        Legend(
            "explained", "", "differs from the kernel to its left, and the ledger knows the upstream commit"
        ),
        Legend("unexplained", "?", "differs, not explained yet"),
        Legend("contradicted", "≠", "differs, but not as the ledger predicts"),
        Legend("crash", "†", "the guest's kernel crashed"),
        Legend("splat", SPLAT_GLYPH, "the kernel reported an error in its log (a splat), such as a WARNING"),
        Legend("timeout", "…", "the experiment did not end in time"),
        Legend("unstable", "≈", "repeats disagreed; not compared"),
        Legend("error", "!", "the tool failed, not the kernel; not compared"),
    )
