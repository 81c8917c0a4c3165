"""What came of a night, for people and machines."""

from __future__ import annotations

from dataclasses import dataclass

from matrix.analysis.ledger.explain import Verdict
from matrix.baseline.baseline import Acceptance
from matrix.results.record import FactValue, Status


@dataclass(frozen=True)
class Item:
    """One piece of news. Variants with the same news are one item; `label` names them in short and
    is empty if they are all there are.

    `earlier` is empty if the build itself moved.
    """

    earlier: str
    later: str
    experiment: str
    variants: tuple[str, ...]
    label: str
    fact: str
    before: FactValue | None
    after: FactValue | None
    verdict: Verdict
    words: str


@dataclass(frozen=True)
class FailedCell:
    """A failure that nobody accepted."""

    kernel: str
    experiment: str
    variant: str
    status: Status
    reason: str


@dataclass(frozen=True)
class Night:
    """What came of a night; `nightly.json` in its run's directory.

    `news` and `failures` are tonight's, `waiting` counts those of earlier nights that are still not
    accepted. `run` is empty if there was nothing to run. `since_lock` names kernels that
    `matrix.toml` means now and `matrix.lock` does not hold; `locked` says that those were therefore
    not asked.
    """

    day: str
    run: str
    new_kernels: tuple[str, ...]
    new_experiments: tuple[str, ...]
    sample: tuple[str, ...]
    counts: dict[str, int]
    news: tuple[Item, ...]
    failures: tuple[FailedCell, ...]
    waiting: int
    since_lock: tuple[str, ...]
    locked: bool
    accepted: Acceptance | None
    accepted_cells: int
    seconds: float
    exit_code: int
