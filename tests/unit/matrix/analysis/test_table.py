from __future__ import annotations

from dataclasses import replace

from matrix.analysis.table import Row, make_table
from matrix.results.manifest import KernelEntry
from matrix.results.record import Record, Status
from tests.support.fakes import make_experiment
from tests.support.sample import CATALOGUE, manifest, table


def rows(experiment: str) -> list[Row]:
    return [row for row in table().rows if row.experiment == experiment]


def labels(variants: list[dict[str, str]], facts: list[int]) -> list[str]:
    records = [
        Record("5.10.251", "x", variant, Status.PASS, {"n": fact})
        for variant, fact in zip(variants, facts, strict=True)
    ]
    return [row.label for row in make_table(manifest(), records, {"x": make_experiment("x")}).rows]


def test_a_table_has_kernels_in_their_order() -> None:
    assert [kernel.name for kernel in table().kernels] == ["5.10.251", "6.12.9", "6.12.10", "7.3~rc7"]


def test_builds_of_one_release_are_ordered_as_a_run_orders_them() -> None:
    entries = [
        KernelEntry(flavour, flavour, "6.12", "6.12.9", flavour, "1") for flavour in ("own", "rt", "generic")
    ]
    made = make_table(replace(manifest(), kernels=tuple(entries)), [], CATALOGUE)
    assert [kernel.name for kernel in made.kernels] == ["generic", "rt", "own"]


def test_a_table_has_experiments_in_the_order_of_the_catalogue_unknown_ones_last() -> None:
    known = {name: experiment for name, experiment in reversed(CATALOGUE.items()) if name != "race"}
    names = list(
        dict.fromkeys(
            row.experiment
            for row in make_table(
                manifest(), [r for row in table().rows for r in row.records if r], known
            ).rows
        )
    )
    assert names == ["hostile", "iptables-legacy", "inwindow-rst", "table-full", "baseline", "race"]


def test_variants_with_equal_answers_are_one_row() -> None:
    (row,) = rows("baseline")
    assert row.label == ""
    assert [dict(variant) for variant in row.variants] == [{"frontend": "legacy"}, {"frontend": "nft"}]


def test_variants_that_differ_on_any_kernel_are_separate_rows() -> None:
    assert [row.label for row in rows("table-full")] == ["frontend=legacy", "frontend=nft"]


def test_a_label_names_what_sets_the_variants_apart() -> None:
    four = [
        {"frontend": frontend, "scope": scope} for frontend in ("legacy", "nft") for scope in ("root", "user")
    ]
    assert labels(four, [1, 1, 2, 2]) == ["frontend=legacy", "frontend=nft"]
    assert labels(four, [1, 2, 1, 2]) == ["scope=root", "scope=user"]
    assert labels(four, [1, 1, 1, 2]) == [
        "frontend=legacy,scope=root; frontend=legacy,scope=user; frontend=nft,scope=root",
        "frontend=nft,scope=user",
    ]


def test_a_row_knows_which_facts_changed_against_the_left_neighbour() -> None:
    (row,) = rows("inwindow-rst")
    assert [sorted(facts) for facts in row.changed] == [
        [],
        ["invalid", "state"],
        ["invalid", "state"],
        ["invalid", "state"],
    ]
    assert row.differs
    assert not rows("baseline")[0].differs


def test_a_cell_that_was_not_run_is_empty_and_no_neighbour() -> None:
    (row,) = rows("iptables-legacy")
    assert [record.status if record else None for record in row.records] == [
        Status.PASS,
        Status.UNSUPPORTED,
        None,
        None,
    ]
    assert row.changed[1] == {"tables"}


def test_cells_that_cannot_be_compared_are_skipped() -> None:
    (row,) = rows("race")
    assert [sorted(facts) for facts in row.changed] == [[], [], [], [""]]


def test_counts_are_of_cells() -> None:
    counts = table().counts
    assert sum(counts.values()) == 27
    assert (counts[Status.FAIL], counts[Status.ERROR], counts[Status.CRASH]) == (2, 1, 1)


def test_a_row_of_some_variants_names_them() -> None:
    asked = {"frontend": "legacy", "scope": "root"}
    records = [Record("5.10.251", "x", asked, Status.PASS, {"n": 1})]
    declared = make_experiment("x", variants={"frontend": ("legacy", "nft"), "scope": ("user", "root")})
    (row,) = make_table(manifest(), records, {"x": declared}).rows
    assert row.label == "frontend=legacy,scope=root"


def test_an_experiment_that_had_other_variants_when_it_was_run_is_labelled_by_what_was_run() -> None:
    declared = make_experiment("x", variants={"family": ("ipv4", "ipv6")})
    records = [
        Record("5.10.251", "x", {"frontend": name}, Status.PASS, {"n": number})
        for number, name in enumerate(("legacy", "nft"))
    ]
    assert [row.label for row in make_table(manifest(), records, {"x": declared}).rows] == [
        "frontend=legacy",
        "frontend=nft",
    ]
