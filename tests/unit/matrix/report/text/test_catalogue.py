from __future__ import annotations

from guest.catalogue import Experiment, Fact, Invariant
from matrix.analysis.ledger.model import Change, Commit, Confirmed, Ledger
from matrix.report.text.catalogue import catalogue_page

COMMIT = Commit(
    key="rst",
    title="netfilter: conntrack: [a title]",
    confirmed=Confirmed.SOURCE,
    sentence="Resets close entries.",
    hash="0" * 40,
    mainline="6.2",
    backports=("6.1.9",),
)
EXPERIMENT = Experiment(
    name="in-window",
    topic="tcp",
    question="Does it close?",
    doc="Does it close?\n\nOne RST arrives.",
    run=lambda lab: {},
    facts=(Fact("state", str, "its state"),),
    invariants=(Invariant("it stays a flow", lambda facts, variant: True),),
    variants={"scope": ("user", "root")},
    modules=("nf_nat",),
    seconds=1,
    cpus=1,
)


def test_the_page_holds_all_that_an_experiment_declares_and_the_ledger_knows() -> None:
    page = catalogue_page(
        {"in-window": EXPERIMENT}, Ledger({"rst": COMMIT}, (Change("in-window", COMMIT, "state"),), {})
    )
    assert "1 experiment, 2 cells" in page
    for words in (
        "[in-window](#in-window): Does it close?",
        "One RST arrives.",
        "| `state` | str | its state |",
        "`scope` = user, root",
        "nf_nat",
        "- it stays a flow",
        "Resets close entries. [netfilter: conntrack: \\[a title\\]](https://",
        "6.2, 6.1.9",
    ):
        assert words in page


def test_changes_of_other_experiments_are_not_listed() -> None:
    assert "Known to have changed" not in catalogue_page(
        {"in-window": EXPERIMENT}, Ledger({}, (Change("other", COMMIT),), {})
    )
