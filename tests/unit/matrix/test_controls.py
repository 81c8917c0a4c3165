from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from guest.catalogue import Experiment
from guest.controls import CONTROLS
from matrix.analysis.controls import Controlled
from matrix.controls import Asked, keep_controls, published_variant, read_controls, seek
from matrix.results.record import FactValue, Record, Status
from tests.support.fakes import FakeGuests, answer, make_experiment, make_kernel
from vms.answer import Answer
from vms.errors import UsageError

EXPERIMENT = make_experiment("asked", {"flows": int, "state": str})
PUBLISHED: dict[str, FactValue] = {"flows": 3, "state": "NEW"}


class Kernel:
    """Answers as published but under some controls, and remembers what it was asked."""

    def __init__(self, controlled: Mapping[str, dict[str, FactValue]]) -> None:
        self.controlled = controlled
        self.asked: list[str] = []

    def __call__(self, experiment: Experiment, variant: Mapping[str, str]) -> Record:
        self.asked.append(variant["control"])
        facts = self.controlled.get(variant["control"], PUBLISHED)
        return Record("6.1.1", experiment.name, dict(variant), Status.PASS, facts)


def changed(fact: str, control: str, after: FactValue) -> Controlled:
    return Controlled("asked", fact, control, "6.1.1", {"loose": "0"}, PUBLISHED[fact], after)


def test_the_first_control_that_changes_a_fact_is_its_proof_and_no_more_are_asked_than_it_takes() -> None:
    kernel = Kernel({"untracked": {"flows": 0, "state": "NEW"}, "lost": {"flows": 0, "state": "gone"}})
    assert seek(EXPERIMENT, {"loose": "0"}, ["flows", "state"], kernel) == (
        changed("flows", "untracked", 0),
        changed("state", "lost", "gone"),
    )
    assert kernel.asked == ["none", "untracked", "lost"]


def test_a_fact_that_no_control_changes_has_no_proof_and_an_experiment_that_fails_proves_nothing() -> None:
    kernel = Kernel({"untracked": {}, "lost": {"flows": 0, "state": "NEW"}})
    assert seek(EXPERIMENT, {"loose": "0"}, ["state"], kernel) == ()
    assert kernel.asked == list(CONTROLS)


def test_a_control_may_be_another_value_of_a_parameter() -> None:
    variants = []

    def kernel(experiment: Experiment, variant: Mapping[str, str]) -> Record:
        variants.append(dict(variant))
        return Record("6.1.1", experiment.name, dict(variant), Status.PASS, PUBLISHED)

    seek(EXPERIMENT, {"family": "ipv4"}, ["flows"], kernel)
    assert {"family": "ipv6", "control": "ipv6"} in variants


def test_the_first_variant_of_roots_is_asked() -> None:
    experiment = make_experiment("asked", variants={"scope": ("user", "root"), "loose": ("0", "1")})
    assert published_variant(experiment.combinations()) == {"scope": "root", "loose": "0"}


def test_guests_are_asked_once_whatever_they_answer() -> None:
    requests = []

    def answered(_kernel: str, request: dict[str, Any]) -> Answer:
        requests.append(request)
        return answer(request, facts={"flows": 1, "state": "NEW"})

    guests, kernel = FakeGuests(answered), make_kernel("6.12.9")
    asked = Asked(kernel, lambda cpus: guests.template(guests.fetch(kernel), cpus))
    record = asked(EXPERIMENT, {"control": "lost"})
    asked.close()
    assert (record.status, record.facts["flows"], len(requests)) == (Status.PASS, 1, 1)


def test_a_later_run_replaces_proofs_of_the_same_facts_and_drops_those_of_facts_that_are_gone(
    tmp_path: Path,
) -> None:
    kept = tmp_path / "controls.json"
    assert read_controls(kept) == ()
    gone = Controlled("asked", "gone", "lost", "6.1.1", {}, 1, 2)
    keep_controls(kept, [changed("state", "lost", "gone"), gone], {"asked": EXPERIMENT})
    keep_controls(
        kept, [changed("state", "flushed", "gone"), changed("flows", "lost", 0)], {"asked": EXPERIMENT}
    )
    assert read_controls(kept) == (changed("flows", "lost", 0), changed("state", "flushed", "gone"))


def test_a_damaged_file_of_proofs_is_one_message(tmp_path: Path) -> None:
    (tmp_path / "controls.json").write_text("[{]")
    with pytest.raises(UsageError, match=r"controls\.json: .*; take it from git again"):
        read_controls(tmp_path / "controls.json")
