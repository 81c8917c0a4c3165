from __future__ import annotations

import pytest

from matrix.analysis.analysis import analyse
from matrix.analysis.ledger.explain import Verdict
from matrix.analysis.ledger.model import Change, Commit, Confirmed, Ledger
from matrix.results.record import Record, Status
from tests.support.sample import CATALOGUE, EMPTY, analysis, manifest
from vms.splats import Kind, Splat

FIX = Commit("fix", "netfilter: fix it", Confirmed.SOURCE, "It is fixed.", mainline="6.0")
LEDGER = Ledger({"fix": FIX}, (Change("race", FIX, "n", before=1, after=2),), {"5.10": "5.10.251"})


@pytest.mark.parametrize(
    ("statuses", "code"),
    [
        ([Status.PASS, Status.UNSUPPORTED], 0),
        ([Status.PASS, Status.ERROR], 3),
        ([Status.FAIL, Status.ERROR], 1),
        ([Status.CRASH], 1),
        ([Status.TIMEOUT], 1),
        ([Status.UNSTABLE], 1),
        ([], 0),
    ],
)
def test_failures_and_unstable_cells_end_with_1_and_errors_alone_with_3(
    statuses: list[Status], code: int
) -> None:
    records = [Record("6.12.9", f"x{number}", {}, status) for number, status in enumerate(statuses)]
    assert analyse(manifest(), records, {}, EMPTY).exit_code == code


@pytest.mark.parametrize(
    ("after", "verdict", "code"), [(2, "explained", 0), (3, "contradicted", 1), (None, "unexplained", 1)]
)
def test_a_change_has_the_ledgers_verdict(after: int | None, verdict: str, code: int) -> None:
    name = "race" if after else "baseline"
    records = [
        Record(kernel, name, {}, Status.PASS, {"n": value})
        for kernel, value in (("5.10.251", 1), ("6.12.9", after or 9))
    ]
    found = analyse(manifest(), records, CATALOGUE, LEDGER)
    ((_, changes),) = found.rows
    assert [(change.before, change.after, change.verdict) for change in changes.values()] == [(0, 1, verdict)]
    assert len(found.unexplained) == code == found.exit_code


def test_every_change_of_the_sample_is_unexplained_without_a_ledger() -> None:
    found = analysis()
    assert {change.verdict for _, change in found.unexplained} == {Verdict.UNEXPLAINED}
    assert len(found.unexplained) == sum(len(changes) for _, changes in found.rows)


@pytest.mark.parametrize(("kind", "code"), [(Kind.WARNING, 1), (Kind.LOCKUP, 0)])
def test_a_splat_that_only_the_kernel_can_have_caused_ends_with_1(kind: Kind, code: int) -> None:
    marked = Record("6.12.9", "x", {}, Status.PASS, {"n": 1}, splats=(Splat(kind, "title", "fingerprint"),))
    assert analyse(manifest(), [marked], {}, EMPTY).exit_code == code
