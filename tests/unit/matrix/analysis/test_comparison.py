from __future__ import annotations

import io
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from matrix.analysis.compare import Kind
from matrix.analysis.comparison import Comparison, Side, compare, read_side
from matrix.analysis.ledger.explain import Verdict
from matrix.analysis.ledger.model import Change, Commit, Confirmed, Ledger
from matrix.report.text.compared import print_comparison
from matrix.results.record import FactValue, Record, Status
from tests.support.answered import write_run
from vms.errors import UsageError

KERNELS = ["6.1.2", "6.12.3"]
EMPTY = Ledger({}, (), {})


def record(kernel: str, frontend: str = "legacy", status: Status = Status.PASS, **facts: FactValue) -> Record:
    return Record(kernel, "baseline", {"frontend": frontend}, status, dict(facts))


def write(results: Path, run: str, records: list[Record]) -> None:
    write_run(results, run, KERNELS, records)


def result(results: Path, before: str, after: str, ledger: Ledger = EMPTY) -> Comparison:
    return compare(read_side(before, results, pytest.fail), read_side(after, results, pytest.fail), ledger)


def test_two_kernels_are_compared_as_the_newest_runs_know_them(tmp_path: Path) -> None:
    write(tmp_path, "2026-01-01", [record("6.1.2", flows=1), record("6.12.3", flows=1)])
    write(tmp_path, "2026-01-02", [record("6.12.3", flows=2)])
    found = result(tmp_path, "6.1", "6.12.3")
    (fact,) = found.facts
    assert (fact.experiment, fact.before, fact.after, fact.difference.kind) == (
        "baseline",
        "6.1.2",
        "6.12.3",
        Kind.CHANGED,
    )
    assert (fact.difference.before, fact.difference.after, fact.verdict) == (1, 2, Verdict.UNEXPLAINED)
    assert found.exit_code == 1


def test_two_runs_are_compared_kernel_by_kernel(tmp_path: Path) -> None:
    write(tmp_path, "2026-01-01", [record("6.1.2", flows=1), record("6.12.3", flows=2)])
    write(
        tmp_path,
        "2026-01-02",
        [record("6.1.2", flows=1), record("6.12.3", flows=3), record("6.12.3", "nft", flows=3)],
    )
    found = result(tmp_path, "2026-01-01", "2026-01-02")
    assert [(fact.after, fact.difference.kind) for fact in found.facts] == [
        ("6.1.2", Kind.SAME),
        ("6.12.3", Kind.CHANGED),
    ]
    assert found.one_sided == ("baseline [frontend=nft] on 6.12.3",)
    assert result(tmp_path, "2026-01-01", str(tmp_path / "2026-01-01")).exit_code == 0


def test_one_kernel_is_compared_in_two_runs(tmp_path: Path) -> None:
    write(tmp_path, "2026-01-01", [record("6.1.2", flows=1), record("6.12.3", flows=2)])
    write(tmp_path, "2026-01-02", [record("6.1.2", flows=5), record("6.12.3", flows=3)])
    found = result(tmp_path, "2026-01-01:6.12", "latest:6.12.3")
    assert [(fact.difference.before, fact.difference.after) for fact in found.facts] == [(2, 3)]


def test_variants_with_the_same_difference_are_one_fact(tmp_path: Path) -> None:
    cells = [
        record(kernel, frontend, flows=flows)
        for kernel, flows in (("6.1.2", 1), ("6.12.3", 2))
        for frontend in ("legacy", "nft")
    ]
    write(tmp_path, "2026-01-01", [*cells[:3], replace(cells[3], facts={"flows": 9})])
    assert [fact.label for fact in result(tmp_path, "6.1", "6.12").facts] == [
        "frontend=legacy",
        "frontend=nft",
    ]
    write(tmp_path, "2026-01-02", cells)
    assert [fact.label for fact in result(tmp_path, "6.1", "6.12").facts] == [""]


def test_an_error_is_lost_and_no_change(tmp_path: Path) -> None:
    write(tmp_path, "2026-01-01", [record("6.1.2", flows=1)])
    write(tmp_path, "2026-01-02", [record("6.1.2", status=Status.ERROR)])
    found = result(tmp_path, "2026-01-01", "2026-01-02")
    assert found.counts == {Kind.LOST: 1}
    assert found.exit_code == 3


def test_a_cell_that_now_fails_makes_the_exit_code_1(tmp_path: Path) -> None:
    write(tmp_path, "2026-01-01", [record("6.1.2", flows=1)])
    write(tmp_path, "2026-01-02", [record("6.1.2", status=Status.FAIL, flows=1)])
    found = result(tmp_path, "2026-01-01", "2026-01-02")
    assert found.broken == ("baseline [frontend=legacy] on 6.1.2: fail",)
    assert found.exit_code == 1
    assert result(tmp_path, "2026-01-02", "2026-01-02").exit_code == 0


def explaining(after: int) -> Ledger:
    commit = Commit("a", "netfilter: count twice", Confirmed.SOURCE, "Counts twice.", mainline="6.5")
    return Ledger(
        {"a": commit}, (Change("baseline", commit, "flows", before=1, after=after),), {"6.1": "6.1.2"}
    )


def test_a_comparison_has_the_ledgers_verdicts(tmp_path: Path) -> None:
    write(tmp_path, "2026-01-01", [record("6.1.2", flows=1), record("6.12.3", flows=2)])
    explained = result(tmp_path, "6.1", "6.12", explaining(2))
    assert [(fact.verdict, fact.commits) for fact in explained.facts] == [
        (Verdict.EXPLAINED, ("netfilter: count twice",))
    ]
    assert explained.exit_code == 0
    contradicted = result(tmp_path, "6.1", "6.12", explaining(3))
    assert [fact.verdict for fact in contradicted.facts] == [Verdict.CONTRADICTED]
    assert contradicted.exit_code == 1


def test_a_kernel_and_a_run_cannot_be_compared(tmp_path: Path) -> None:
    write(tmp_path, "2026-01-01", [record("6.1.2", flows=1)])
    with pytest.raises(UsageError, match="RUN:KERNEL"):
        result(tmp_path, "2026-01-01", "6.1")


def test_a_side_that_is_neither_run_nor_kernel_is_refused_with_the_known_kernels(tmp_path: Path) -> None:
    write(tmp_path, "2026-01-01", [record("6.1.2", flows=1)])
    with pytest.raises(UsageError, match=r"no run has answers of a kernel '4\.2'.*there is 6\.1\.2"):
        read_side("4.2", tmp_path, pytest.fail)


def test_a_comparison_prints_differences_and_counts_equal_facts(tmp_path: Path) -> None:
    write(
        tmp_path,
        "2026-01-01",
        [
            record("6.1.2", flows=1, raw=3),
            record("6.12.3", flows=2, raw=3),
            record("6.12.3", "nft", flows=2, raw=3),
        ],
    )
    console = Console(file=io.StringIO(), width=200)
    print_comparison(result(tmp_path, "6.1", "6.12", explaining(2)), console)
    assert isinstance(console.file, io.StringIO)
    lines = [line.split() for line in console.file.getvalue().splitlines()]
    assert lines == [
        ["experiment", "fact", "6.1.2", "6.12.3", "what", "why"],
        ["baseline", "flows", "1", "2", "changed", "explained:", "netfilter:", "count", "twice"],
        ["6.1.2", "->", "6.12.3:", "1", "same,", "1", "changed", "(1", "explained)"],
        ["only", "on", "one", "side:", "baseline", "[frontend=nft]", "on", "6.12.3"],
    ]


def test_of_long_lists_and_maps_what_they_have_in_common_is_left_out(tmp_path: Path) -> None:
    names = [f"the feature {number}" for number in range(9)]
    counts = {f"counter {number}": number for number in range(9)}
    write(
        tmp_path,
        "2026-01-01",
        [
            record("6.1.2", names=names, counts=counts),
            record("6.12.3", names=[*names, "more"], counts={**counts, "counter 8": 0}),
        ],
    )
    console = Console(file=io.StringIO(), width=400)
    print_comparison(result(tmp_path, "6.1", "6.12", EMPTY), console)
    assert isinstance(console.file, io.StringIO)
    lines = [re.split(r"\s{2,}", line) for line in console.file.getvalue().splitlines()]
    assert ["baseline", "names", "…", "… more", "changed", "unexplained"] in [line[:6] for line in lines]
    assert ["baseline", "counts", "… counter 8 8", "… counter 8 0", "changed", "unexplained"] in [
        line[:6] for line in lines
    ]


def test_a_side_is_the_same_as_json(tmp_path: Path) -> None:
    write(tmp_path, "2026-01-01", [record("6.1.2", flows=1)])
    side = read_side("2026-01-01", tmp_path, pytest.fail)
    assert isinstance(side, Side)
    import msgspec

    assert (
        json.loads(msgspec.json.encode(compare(side, side, EMPTY)))["facts"][0]["difference"]["kind"]
        == "same"
    )
