"""Two kernels, two runs, or one kernel in two runs, compared fact by fact."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from matrix.analysis.analysis import exit_code
from matrix.analysis.answers import Answers, read_answers
from matrix.analysis.compare import Change, Difference, Kind, compare_cells
from matrix.analysis.ledger.explain import Verdict, explain_change
from matrix.analysis.ledger.model import Ledger
from matrix.analysis.variants import Variant, grouped
from matrix.plan.plan import cell_label, variant_name
from matrix.results.latest import LatestAnswers, read_finished
from matrix.results.manifest import KernelEntry
from matrix.results.record import Record, Status
from vms.errors import UsageError

Key = tuple[str, str]


@dataclass(frozen=True)
class Side:
    """One side of a comparison: kernels by id, and each kernel's records by experiment and variant.

    `one`: whether the side is a single kernel instead of a run.
    """

    label: str
    kernels: Mapping[str, KernelEntry]
    records: Mapping[str, Mapping[Key, Record]]
    one: bool


@dataclass(frozen=True)
class Compared:
    """One fact on two kernels, in the variants (`label`, empty for all) with the same difference.

    `verdict` is None where there is no change; `commits` are the titles that the ledger names.
    """

    experiment: str
    label: str
    before: str
    after: str
    difference: Difference
    verdict: Verdict | None
    commits: tuple[str, ...]


@dataclass(frozen=True)
class Comparison:
    """Every fact that was compared, the equal ones too.

    `one_sided`: kernels and cells that only one side has; `broken`: cells that now fail.
    """

    before: str
    after: str
    facts: tuple[Compared, ...]
    one_sided: tuple[str, ...]
    broken: tuple[str, ...]

    @property
    def counts(self) -> dict[Kind, int]:
        """The number of facts by kind of difference, those of variants alike counted once."""
        return {
            kind: number
            for kind in Kind
            if (number := sum(fact.difference.kind is kind for fact in self.facts))
        }

    @property
    def exit_code(self) -> int:
        """The exit code of `./invoke compare`."""
        return exit_code(
            unexplained=any(fact.verdict not in (None, Verdict.EXPLAINED) for fact in self.facts),
            failed=bool(self.broken),
            errors=Kind.LOST in self.counts,
        )


def read_side(spec: str, results: Path, complain: Callable[[str], None]) -> Side:
    """The side that `spec` names: a run (its directory or its name under results), a kernel with
    its newest answers, or RUN:KERNEL.

    `complain` is called with a message for each run that cannot be read. Raises UsageError if there
    is no such side.
    """
    run, _, kernel = spec.partition(":")
    path = next((path for path in (results / run, Path(run)) if (path / "manifest.json").is_file()), None)
    if path is None:
        answers = read_answers(results, complain)
        entry = answers.pick(spec)
        records = {key: record for key, (record, _) in answers.of(entry).items()}
        return Side(entry.name, {entry.id: entry}, {entry.id: records}, one=True)
    manifest, records_of_run = read_finished(path)
    kernels = {entry.id: entry for entry in manifest.kernels}
    if kernel:
        entry = Answers(LatestAnswers().with_run(manifest, records_of_run)).pick(kernel)
        kernels = {entry.id: entry}
    by_kernel = {
        entry.id: {
            (r.experiment, variant_name(r.variant)): r for r in records_of_run if r.kernel == entry.name
        }
        for entry in kernels.values()
    }
    return Side(spec if kernel else manifest.run, kernels, by_kernel, one=bool(kernel))


def compare(before: Side, after: Side, ledger: Ledger) -> Comparison:
    """Compares two kernels, or two runs kernel by kernel.

    Raises UsageError if one side is a kernel and the other a run.
    """
    if before.one != after.one:
        raise UsageError(
            f"{before.label} and {after.label}: one is a kernel and the other a run; write RUN:KERNEL for"
            " one kernel of a run"
        )
    facts: list[Compared] = []
    one_sided = (
        []
        if before.one
        else [
            side.kernels[key].name
            for side in (before, after)
            for key in before.kernels.keys() ^ after.kernels.keys()
            if key in side.kernels
        ]
    )
    broken = []
    for left, right in _pairs(before, after):
        old, new = before.records[left.id], after.records[right.id]
        one_sided += [
            f"{cell_label(*key)} on {left.name if key in old else right.name}"
            for key in old.keys() ^ new.keys()
        ]
        both = [key for key in old if key in new]
        broken += [
            f"{cell_label(*key)} on {right.name}: {new[key].status}"
            for key in both
            if new[key].status.is_failure
            and not old[key].status.is_failure
            and old[key].status is not Status.ERROR
        ]
        facts += _facts([(old[key], new[key]) for key in both], left, right, ledger)
    return Comparison(before.label, after.label, tuple(facts), tuple(sorted(one_sided)), tuple(broken))


def _pairs(before: Side, after: Side) -> list[tuple[KernelEntry, KernelEntry]]:
    if before.one:
        return [(next(iter(before.kernels.values())), next(iter(after.kernels.values())))]
    return [(entry, after.kernels[key]) for key, entry in before.kernels.items() if key in after.kernels]


def _facts(
    cells: list[tuple[Record, Record]], left: KernelEntry, right: KernelEntry, ledger: Ledger
) -> Iterator[Compared]:
    """Each fact of two kernels' cells; variants with the same difference are one."""
    variants: dict[str, list[Variant]] = defaultdict(list)
    for _, new in cells:
        variants[new.experiment].append(new.variant)
    facts = [Change(old, new, difference) for old, new in cells for difference in compare_cells(old, new)]
    for label, alike in grouped(
        facts,
        key=lambda fact: (fact.after.experiment, fact.difference.key),
        variant=lambda fact: fact.after.variant,
        everything=lambda fact: variants[fact.after.experiment],
    ):
        first = alike[0]
        verdict: Verdict | None = None
        commits: tuple[str, ...] = ()
        if first.difference.kind.is_change:
            found = explain_change(ledger, first, left, right)
            verdict, commits = found.verdict, tuple(commit.title for commit in found.commits)
        yield Compared(
            first.after.experiment, label, left.name, right.name, first.difference, verdict, commits
        )
