from __future__ import annotations

from dataclasses import replace

import pytest

from guest.catalogue import Experiment, Fact
from matrix.reference import lacking, together
from matrix.results.manifest import KernelEntry, Manifest
from matrix.results.record import Record, Status
from tests.support.fakes import SURROUNDINGS
from vms.errors import UsageError

ASKED = Experiment(
    name="asked",
    topic="topic",
    question="What?",
    doc="What?",
    run=lambda lab: {},
    facts=(Fact("flows", int, "flows"),),
    invariants=(),
    variants={"scope": ("user", "root")},
    modules=(),
    seconds=1,
    cpus=1,
)
CATALOGUE = {"asked": ASKED}
USER = Record("6.1.1", "asked", {"scope": "user"}, Status.PASS, {"flows": 1})
ROOT = replace(USER, variant={"scope": "root"})


def test_a_reference_that_answers_everything_lacks_nothing() -> None:
    assert lacking([USER, ROOT], CATALOGUE) == []


def test_a_cell_that_never_ran_is_lacking() -> None:
    assert lacking([USER], CATALOGUE) == ["asked [scope=root] was not run"]


def test_a_fact_that_was_declared_after_the_run_is_lacking() -> None:
    wider = {"asked": replace(ASKED, facts=(*ASKED.facts, Fact("state", str, "state")))}
    assert lacking([USER, ROOT], wider) == [
        "asked [scope=user] has no state",
        "asked [scope=root] has no state",
    ]


def test_a_cell_that_no_kernel_supports_is_not_lacking() -> None:
    unsupported = replace(ROOT, status=Status.UNSUPPORTED, facts={}, reason="ENOENT")
    assert lacking([USER, unsupported], CATALOGUE) == []


KERNELS = (KernelEntry("6.1.1", "debian:6.1.1", "6.1", "6.1.1", "cloud", "6.1.1-1", "sid"),)
FIRST = Manifest(
    "first", "plan", "2026-01-01T00:00:00+00:00", ("matrix",), 2, ("asked", "other"), KERNELS, SURROUNDINGS
)


def test_a_later_run_replaces_the_answers_of_an_earlier_one() -> None:
    other = replace(USER, experiment="other")
    later = replace(FIRST, run="second", experiments=("asked",), number=7)
    manifest, records = together([(FIRST, [USER, other]), (later, [replace(USER, facts={"flows": 2})])])
    assert manifest.run == "first and second"
    assert manifest.number == 0  # older than all runs of whoever reads it
    assert manifest.experiments == ("asked", "other")
    assert {(record.experiment, record.facts["flows"]) for record in records} == {("asked", 2), ("other", 1)}


def test_runs_of_different_kernels_cannot_be_joined() -> None:
    with pytest.raises(UsageError, match="different kernels"):
        together(
            [(FIRST, [USER]), (replace(FIRST, kernels=(replace(KERNELS[0], id="debian:6.1.2"),)), [USER])]
        )
