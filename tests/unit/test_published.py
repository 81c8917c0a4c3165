"""What is published in git is not older than what it is made from."""

from __future__ import annotations

import itertools
import re
from dataclasses import replace

from commands.project import CONTROLLED
from commands.shell import RESULTS, ROOT
from guest.catalogue import load
from guest.observe.ctnetlink import RUNGS
from matrix.analysis.analysis import analyse
from matrix.analysis.compare import Change, comparable, differences, neighbours
from matrix.analysis.controls import Proof
from matrix.analysis.fact_value import frozen_facts
from matrix.analysis.ledger.contains import contains
from matrix.analysis.ledger.explain import Verdict, contradictions, explain_change
from matrix.analysis.ledger.model import Ledger
from matrix.analysis.ledger.read import read_ledger
from matrix.analysis.table import make_table
from matrix.analysis.wording.tell import all_words
from matrix.controls import proven, read_controls
from matrix.plan.plan import variant_name
from matrix.reference import lacking, reference_page
from matrix.report.text.catalogue import catalogue_page
from matrix.report.text.controls import controls_page
from matrix.report.website.contents import read_contents
from matrix.report.website.files import files
from matrix.results.latest import read_finished
from matrix.results.manifest import KernelEntry
from matrix.results.record import Record, Status


def test_the_catalogue_page_is_what_the_experiments_say() -> None:
    assert (ROOT / "docs" / "catalogue.md").read_text() == catalogue_page(load(), read_ledger()), (
        "run ./invoke catalogue"
    )


def test_the_page_of_controls_is_what_the_reference_proves() -> None:
    found = proven(load(), RESULTS / "reference", read_controls(CONTROLLED))
    assert (ROOT / "docs" / "controls.md").read_text() == controls_page(found), "run ./invoke controls"


def test_no_fact_is_without_proof_that_it_can_differ_or_a_reason_why_it_is_asked() -> None:
    found = proven(load(), RESULTS / "reference", read_controls(CONTROLLED))
    assert [(one.experiment, one.fact) for one in found if one.proof is Proof.NONE] == [], (
        "run ./invoke controls -k 6.12, write a control, or say why with a Guard"
    )


def test_no_guard_is_said_of_a_fact_that_has_a_proof() -> None:
    guards = {(one.name, fact.name) for one in load().values() for fact in one.facts if fact.guard}
    found = proven(load(), RESULTS / "reference", read_controls(CONTROLLED))
    assert guards == {(one.experiment, one.fact) for one in found if one.proof is Proof.GUARD}


def test_the_reference_answers_all_that_the_catalogue_asks() -> None:
    _, records = read_finished(RESULTS / "reference")
    assert lacking(records, load()) == [], "run ./invoke matrix, then ./invoke reference"
    assert Status.ERROR not in {record.status for record in records}


def test_every_default_timeout_of_a_kernel_is_one_that_a_lifetime_can_name() -> None:
    _, records = read_finished(RESULTS / "reference")
    declared = {
        value
        for record in records
        if record.experiment == "sysctl-inventory" and isinstance(record.facts["defaults"], dict)
        for name, value in record.facts["defaults"].items()
        if "timeout" in name
    }
    assert declared
    assert declared - set(RUNGS) == set()


def test_the_reference_page_shows_its_records_and_what_the_ledger_says_now() -> None:
    manifest, records = read_finished(RESULTS / "reference")
    assert (RESULTS / "reference" / "README.md").read_text() == reference_page(manifest, records, load()), (
        "./invoke reference --run reference"
    )


def test_each_experiment_of_the_catalogue_has_words() -> None:
    assert all_words().keys() == load().keys(), "declare words in matrix/analysis/wording/"


def test_words_say_something_else_of_neighbours_that_differ_and_are_never_cut() -> None:
    manifest, records = read_finished(RESULTS / "reference")
    told = [row for row in make_table(manifest, records, load()).rows if row.words]
    assert told
    hidden = [
        (row.experiment, row.label, before.kernel, after.kernel)
        for row in told
        for left, right, before, after in neighbours(row.records)
        if (row.words[left] == row.words[right]) != (not differences(before, after))
    ]
    assert hidden == []
    assert [row.words for row in told if "…" in "".join(row.words)] == []


def test_the_table_of_the_readme_says_the_words_of_the_reference() -> None:
    manifest, records = read_finished(RESULTS / "reference")
    page = (ROOT / "README.md").read_text()
    (header,) = re.findall(r"^\| question \| (.*) \|$", page, re.MULTILINE)
    newest = {kernel.release: kernel for kernel in manifest.kernels}
    shown = replace(manifest, kernels=tuple(newest[release] for release in header.split(" | ")))
    names = {kernel.name for kernel in shown.kernels}
    rows = make_table(shown, [record for record in records if record.kernel in names], load()).rows
    lines = re.findall(r"^\| [^|]*\(`([\w-]+)`\) \| (.*) \|$", page, re.MULTILINE)
    assert lines
    for name, cells in lines:
        assert cells.split(" | ") in [
            [f"**{text}**" if changed else text for text, changed in zip(row.words, row.changed, strict=True)]
            for row in rows
            if row.experiment == name
        ]


def test_no_kernel_of_the_reference_contradicts_an_entry_of_the_ledger() -> None:
    manifest, records = read_finished(RESULTS / "reference")
    ledger, kernels = read_ledger(), {kernel.name: kernel for kernel in manifest.kernels}
    found = [
        (
            record.kernel,
            record.experiment,
            record.variant,
            wrong.entry.commit.key,
            wrong.shown,
            wrong.expected,
        )
        for record in records
        for wrong in contradictions(ledger, record, kernels[record.kernel])
    ]
    assert found == []


def test_what_differs_between_any_two_kernels_of_the_reference_is_explained_or_an_open_question() -> None:
    manifest, records = read_finished(RESULTS / "reference")
    ledger, listed = read_ledger(), _open_questions()
    kernels = {kernel.name: kernel for kernel in manifest.kernels}
    rows: dict[tuple[str, str], dict[object, Record]] = {}
    for record in filter(comparable, records):
        if record.experiment not in listed:
            alike = rows.setdefault((record.experiment, variant_name(record.variant)), {})
            alike.setdefault(_class(record, kernels[record.kernel], ledger), record)
    found = [
        (one.experiment, one.variant, difference.fact, one.kernel, other.kernel)
        for alike in rows.values()
        for one, other in itertools.combinations(alike.values(), 2)
        for difference in differences(one, other)
        if explain_change(
            ledger, Change(one, other, difference), kernels[one.kernel], kernels[other.kernel]
        ).verdict
        is not Verdict.EXPLAINED
    ]
    assert found == []


def _class(record: Record, kernel: KernelEntry, ledger: Ledger) -> object:
    """The same for answers that the ledger explains in the same way: equal ones, of kernels that
    hold the same of the commits that change the cell.
    """
    commits = [
        change.commit for change in ledger.changes if change.is_about(record.experiment, record.variant)
    ]
    held = tuple(contains(kernel, commit, ledger.read) for commit in commits)
    return record.status, frozen_facts(record.facts), held


def test_the_open_questions_are_the_changes_of_the_reference_that_no_commit_explains() -> None:
    manifest, records = read_finished(RESULTS / "reference")
    found = analyse(manifest, records, load(), read_ledger()).unexplained
    assert _open_questions() == {row.experiment for row, _ in found}


def test_each_commit_of_the_ledger_is_shown_by_a_cell_or_the_page_says_why_none_does() -> None:
    ledger = read_ledger()
    unasked = {key for key, commit in ledger.commits.items() if not commit.unexercised}
    listed = {key for cell in _first_cells(1) for key in re.findall(r"`([\w-]+)`", cell)}
    assert listed == unasked - {change.commit.key for change in ledger.changes}


def _open_questions() -> set[str]:
    """The experiments in the page's table of changes that no commit explains."""
    return {name for cell in _first_cells(0) for name in re.findall(r"`([\w-]+)", cell)}


def _first_cells(part: int) -> list[str]:
    """The first cells of the rows in a part of the page, counted from 0."""
    parts = (ROOT / "docs" / "open-questions.md").read_text().split("\n## ")
    return re.findall(r"^\| (`[^|]*) \|", parts[part], re.MULTILINE)


def test_the_site_of_the_reference_is_small() -> None:
    made = dict(files(read_contents([RESULTS / "reference"], load(), read_ledger())))
    assert len(made["index.html"]) < 300_000
    assert sum(map(len, made.values())) < 30_000_000
