from __future__ import annotations

import inspect
import itertools
import subprocess
import sys

import pytest

from guest import catalogue
from tests.support.project import ROOT

EXPERIMENTS = catalogue.load()


def test_the_catalogue_costs_the_host_no_import_of_scapy() -> None:
    check = "import sys, guest.catalogue; guest.catalogue.load(); print('scapy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize("found", EXPERIMENTS.values(), ids=lambda found: found.name)
def test_a_declaration_is_complete(found: catalogue.Experiment) -> None:
    assert found.question.endswith("?"), "the docstring's first line is the question"
    assert len(found.doc.splitlines()) > 2, "the rest lets a reader judge whether the answer applies to them"
    assert found.facts
    assert len({fact.name for fact in found.facts}) == len(found.facts)
    assert all(fact.type in (bool, int, str, list, dict) and fact.meaning for fact in found.facts)
    assert all(value and " " not in value for values in found.variants.values() for value in values)
    assert set(found.variants.get("scope", ())) <= {"user", "root"}
    assert set(found.variants.get("frontend", ())) <= {"legacy", "nft", "native"}
    assert set(found.variants.get("family", ())) <= {"ipv4", "ipv6"}


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


def test_combinations_multiply_variants() -> None:
    found = EXPERIMENTS["baseline"]
    assert len(found.combinations()) == 8
    assert found.combinations()[0] == {"family": "ipv4", "frontend": "legacy", "scope": "user"}


def test_a_name_belongs_to_one_module() -> None:
    def baseline(lab: object) -> catalogue.Facts:
        """Is this name taken?"""
        return {}

    with pytest.raises(ValueError, match="already"):
        catalogue.experiment(facts=[])(baseline)


def test_an_experiment_asks_a_question() -> None:
    def silent(lab: object) -> catalogue.Facts:
        return {}

    assert inspect.getdoc(silent) is None
    with pytest.raises(ValueError, match="docstring"):
        catalogue.experiment(facts=[])(silent)
