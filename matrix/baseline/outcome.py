"""The outcome of a nightly run, for readers and programs."""

from __future__ import annotations

from dataclasses import dataclass

from matrix.analysis.ledger.explain import Verdict
from matrix.baseline.baseline import Acceptance
from matrix.results.record import FactValue, Status


@dataclass(frozen=True)
class Item:
    """One change. Variants with the same change are one item; `label` names them and is empty for
    all variants.

    `earlier` is the kernel to the left, empty if the same build answered differently when it was
    accepted. `words` are the ledger's sentences on the verdict; `answers` what both sides answer to
    the experiment's question, in words, if words tell them apart.
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
    answers: tuple[str, ...] = ()


@dataclass(frozen=True)
class FailedCell:
    """A failure that is not accepted."""

    kernel: str
    experiment: str
    variant: str
    status: Status
    reason: str


@dataclass(frozen=True)
class Night:
    """The outcome of a nightly run; `nightly.json` in its directory.

    `news` and `failures` are new in this run, `waiting` counts those of earlier nights that are
    still not accepted. `run` is empty if there was nothing to run. `since_lock` names kernels that
    `matrix.toml` selects and `matrix.lock` does not hold; if `locked`, those did not run. `counts`
    has the number of cells by status; `reused` of them were answered by earlier runs. Each cell of
    the kernels in `sample` was asked in a guest of its own. `leaks` has a line for each cell whose
    answer another one changed in their guest.
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
    reused: int = 0
    leaks: tuple[str, ...] = ()

    @property
    def unexplained(self) -> tuple[Item, ...]:
        """The changes that the ledger does not explain, or contradicts."""
        return tuple(item for item in self.news if item.verdict is not Verdict.EXPLAINED)
