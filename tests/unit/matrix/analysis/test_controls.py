from __future__ import annotations

from dataclasses import replace

from guest.catalogue import Fact
from matrix.analysis.controls import Controlled, Proof, Proven, proofs
from matrix.results.record import FactValue, Record, Status
from tests.support.fakes import make_experiment

CATALOGUE = {"asked": make_experiment("asked", {"flows": int}, variants={"loose": ("0", "1")})}


def record(kernel: str, loose: str, flows: FactValue | None) -> Record:
    facts = {} if flows is None else {"flows": flows}
    return Record(kernel, "asked", {"loose": loose}, Status.PASS if facts else Status.UNSUPPORTED, facts)


def test_two_kernels_that_differ_in_one_variant_prove_a_fact() -> None:
    records = [record("6.1.1", "0", 3), record("6.1.1", "1", 5), record("7.3.1", "0", 4)]
    assert proofs(CATALOGUE, records) == (Proven("asked", "flows", Proof.KERNELS, "6.1.1, 7.3.1"),)


def test_two_variants_that_differ_on_one_kernel_prove_a_fact() -> None:
    records = [record("6.1.1", "0", 3), record("6.1.1", "1", 5), record("7.3.1", "0", 3)]
    assert proofs(CATALOGUE, records) == (Proven("asked", "flows", Proof.VARIANTS, "loose=0; loose=1"),)


def test_different_variants_of_different_kernels_prove_nothing() -> None:
    assert proofs(CATALOGUE, [record("6.1.1", "0", 3), record("7.3.1", "1", 5)]) == (
        Proven("asked", "flows", Proof.NONE),
    )


def test_a_cell_without_facts_proves_nothing() -> None:
    assert proofs(CATALOGUE, [record("6.1.1", "0", 3), record("7.3.1", "0", None)]) == (
        Proven("asked", "flows", Proof.NONE),
    )


def test_a_control_that_changes_a_fact_proves_it_unless_the_reference_does() -> None:
    changed = Controlled("asked", "flows", "untracked", "6.1.1", {"loose": "0"}, 3, 0)
    records = [record("6.1.1", "0", 3)]
    assert proofs(CATALOGUE, records, [changed]) == (Proven("asked", "flows", Proof.CONTROL, "untracked"),)
    assert proofs(CATALOGUE, [*records, record("7.3.1", "0", 4)], [changed])[0].proof is Proof.KERNELS


def test_a_guard_says_why_it_stays_until_there_is_a_proof() -> None:
    guarded = replace(CATALOGUE["asked"], facts=(Fact("flows", int, "the flows", "it was emptied"),))
    records = [record("6.1.1", "0", 3)]
    assert proofs({"asked": guarded}, records) == (Proven("asked", "flows", Proof.GUARD, "it was emptied"),)
    assert proofs({"asked": guarded}, [*records, record("6.1.1", "1", 4)])[0].proof is Proof.VARIANTS
