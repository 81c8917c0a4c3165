"""What came of asking a build what the record lacked of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from matrix.analysis.ledger.explain import Verdict
from matrix.results.record import Record
from vms.kernels.kernel import Build


@dataclass(frozen=True)
class Step:
    """What came of one build.

    `errors` are cells without an answer, which the record still lacks, and `leaks` those that had
    another answer in a shared guest. `beside` is the nearest build on record, None if there is
    none, and `changed` has the experiments that the two answer differently. `left` are the builds
    that are still to be asked, in about `seconds_left`.
    """

    kernel: Build
    cells: int
    seconds: float
    errors: tuple[Record, ...]
    leaks: tuple[Record, ...]
    beside: Build | None
    changed: Mapping[str, Verdict]
    left: int
    seconds_left: float
