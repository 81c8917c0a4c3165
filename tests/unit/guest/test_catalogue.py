from __future__ import annotations

import inspect
import itertools
import subprocess
import sys
from collections.abc import Iterator
from typing import Annotated, cast

import pytest

from guest import catalogue
from guest.lab.lab import Lab
from guest.linux import WAIT_SECONDS
from tests.support.project import ROOT

EXPERIMENTS = catalogue.load()


def test_the_catalogue_costs_the_host_no_import_of_scapy() -> None:
    check = "import sys, guest.catalogue; guest.catalogue.load(); print('scapy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize("found", EXPERIMENTS.values(), ids=lambda found: found.name)
def test_the_declaration_of_an_experiment_is_complete(found: catalogue.Experiment) -> None:
    assert found.question.endswith("?"), "the docstring's first line is the question"
    assert len(found.doc.splitlines()) > 2, "the rest lets a reader judge whether the answer applies to them"
    assert found.facts
    assert len({fact.name for fact in found.facts}) == len(found.facts)
    assert all(fact.type in (bool, int, str, list, dict) and fact.meaning for fact in found.facts)
    assert all(value and " " not in value for values in found.variants.values() for value in values)
    assert set(found.variants.get("scope", ())) <= {"user", "root"}
    assert set(found.variants.get("frontend", ())) <= {"legacy", "nft", "native"}
    assert set(found.variants.get("family", ())) <= {"ipv4", "ipv6"}


def test_no_wait_inside_a_guest_ends_before_the_limit_of_an_experiment() -> None:
    assert max(found.seconds for found in EXPERIMENTS.values()) < WAIT_SECONDS


@pytest.mark.parametrize("found", EXPERIMENTS.values(), ids=lambda found: found.name)
def test_an_invariant_can_fail(found: catalogue.Experiment) -> None:
    nonsense: list[dict[type, object]] = [
        {bool: number > 0, int: number, str: "", list: [""], dict: {"": number}}
        for number in (-1, 1_000_000_000)
    ]
    for invariant in found.invariants:
        verdicts = []
        for variant, values in itertools.product(found.combinations(), nonsense):
            try:
                verdicts.append(
                    invariant.holds({fact.name: values[fact.type] for fact in found.facts}, variant)
                )
            except (KeyError, IndexError):
                verdicts.append(False)
        assert not all(verdicts), f"{invariant.text}: holds whatever the facts are"


def test_an_experiment_has_a_cell_for_each_combination_of_its_variants() -> None:
    found = EXPERIMENTS["baseline"]
    assert len(found.combinations()) == 8
    assert found.combinations()[0] == {"family": "ipv4", "frontend": "legacy", "scope": "user"}


def test_a_second_module_cannot_declare_an_experiment_of_the_same_name() -> None:
    def baseline(lab: object) -> catalogue.FactDict:
        """Is this name taken?"""
        return {}

    with pytest.raises(ValueError, match="already"):
        catalogue.experiment(facts=[])(baseline)


class Counted(catalogue.Facts):
    flows: Annotated[int, "flows in the table"]
    states: Annotated[list[str], "the state of each"]


def how_many(lab: Lab) -> Counted:
    """How many flows are there?"""
    return Counted(flows=1, states=["NEW"])


@pytest.fixture
def how_many_declared() -> Iterator[catalogue.Declared[Counted]]:
    yield catalogue.experiment(variants={"room": ("none", "some")})(how_many)
    del catalogue._found["how-many"]


def test_facts_of_a_class_are_declared_by_its_annotations() -> None:
    assert Counted.declared == (
        catalogue.Fact("flows", int, "flows in the table"),
        catalogue.Fact("states", list, "the state of each"),
    )


def test_a_class_of_facts_inherits_those_of_its_base() -> None:
    class Full(Counted):
        drop: Annotated[dict[str, int], "packets dropped, by where"]

    assert [(fact.name, fact.type) for fact in Full.declared] == [
        ("flows", int),
        ("states", list),
        ("drop", dict),
    ]


def test_a_misspelled_or_missing_fact_is_an_error() -> None:
    # mypy finds both too: if it did not, these comments would be its error.
    with pytest.raises(TypeError, match="Counted: missing or not declared: flosw, flows"):
        Counted(flosw=1, states=[])  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="states"):
        Counted(flows=1)  # type: ignore[call-arg]


def test_a_misspelled_fact_that_is_read_is_an_error() -> None:
    with pytest.raises(AttributeError, match="flosw"):
        _ = Counted(flows=1, states=[]).flosw  # type: ignore[attr-defined]


def test_an_annotation_that_is_no_fact_is_refused() -> None:
    with pytest.raises(TypeError, match=r"Wrong\.flows: a fact is annotated with"):

        class Wrong(catalogue.Facts):
            flows: int


def test_a_fact_may_say_why_it_is_asked_although_nothing_changes_it() -> None:
    class Guarded(catalogue.Facts):
        flows: Annotated[int, "flows in the table", catalogue.Guard("the table is emptied before")]

    assert Guarded.declared == (
        catalogue.Fact("flows", int, "flows in the table", "the table is emptied before"),
    )


@pytest.mark.parametrize("more", [catalogue.Guard(""), "a reason that is no guard"])
def test_a_guard_without_a_reason_is_refused(more: object) -> None:
    with pytest.raises(TypeError, match=r"Wrong\.flows: a fact is annotated with"):
        type("Wrong", (catalogue.Facts,), {"__annotations__": {"flows": Annotated[int, "flows", more]}})


def test_no_experiment_has_the_parameter_of_controls() -> None:
    with pytest.raises(ValueError, match="the parameter control is"):
        catalogue.experiment(variants={"control": ("none", "lost")})(how_many)


def test_an_experiment_with_a_class_of_facts_runs_to_a_dict(
    how_many_declared: catalogue.Declared[Counted],
) -> None:
    found = catalogue._found["how-many"]
    assert found.facts == Counted.declared
    assert found.run(cast(Lab, None)) == {"flows": 1, "states": ["NEW"]}
    assert how_many_declared(cast(Lab, None)).flows == 1


def test_an_invariant_of_a_class_of_facts_applies_to_the_variants_it_names(
    how_many_declared: catalogue.Declared[Counted],
) -> None:
    @how_many_declared.invariant("there is a flow", when={"room": "some"})
    def _(facts: Counted) -> bool:
        return facts.flows > 0

    (invariant,) = catalogue._found["how-many"].invariants
    none: catalogue.FactDict = {"flows": 0, "states": []}
    assert [invariant.holds(none, {"room": room}) for room in ("none", "some")] == [True, False]


def test_an_experiment_without_facts_is_refused() -> None:
    def asks(lab: Lab) -> catalogue.FactDict:
        """Is anything declared?"""
        return {}

    with pytest.raises(TypeError, match="asks: an experiment is annotated with the subclass of Facts"):
        catalogue.experiment()(asks)  # type: ignore[type-var]


def test_no_experiment_can_declare_the_fact_that_the_host_adds() -> None:
    def asks(lab: object) -> catalogue.FactDict:
        """Does it?"""
        return {}

    with pytest.raises(ValueError, match="splats"):
        catalogue.experiment(facts=[catalogue.Fact("splats", list, "mine")])(asks)


def test_an_experiment_without_a_docstring_is_refused() -> None:
    def silent(lab: object) -> catalogue.FactDict:
        return {}

    assert inspect.getdoc(silent) is None
    with pytest.raises(ValueError, match="docstring"):
        catalogue.experiment(facts=[])(silent)
