"""Test programs of every kind on one real kernel."""

from __future__ import annotations

import pytest

from matrix.plan.plan import Cell
from matrix.plan.project import Project
from matrix.results.judge import verdict
from matrix.results.record import Record, Status
from matrix.run.cell import Question, ask
from matrix.run.machines import Machines
from matrix.script.guests import ScriptGuests
from matrix.script.suite import experiments_of, read_suite, read_test
from tests.support.project import ROOT
from vms.hardware import Hardware

pytestmark = pytest.mark.guest

PROGRAMS = {
    "passes": "cat beside; echo 'PASS: one'; echo 'SKIP: two'",
    "fails": "echo 'TEST: of the kernel   [FAIL]'; exit 1",
    "skips": "echo 'SKIP: Could not run test without socat'; exit 4",
    "expects": "echo 'XFAIL: needs two CPUs'; exit 2",
    "taps": "printf 'TAP version 13\\n1..2\\nok 1 one\\nnot ok 2 two\\n'",
    "lacks": "perl6 x",
    "ends": "kill -TERM 1; sleep 60",
}
EXPECTED = {
    "passes": (Status.PASS, "ok", ["one"], []),
    "fails": (Status.FAIL, "fail", [], ["of the kernel"]),
    "expects": (Status.PASS, "xfail", [], []),
    "taps": (Status.FAIL, "fail", ["one"], ["two"]),
    "ends": (Status.FAIL, "fail", [], ["it ended the guest"]),
}


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Record]:
    directory = tmp_path_factory.mktemp("suite")
    for name, text in PROGRAMS.items():
        (directory / name).write_text(f"#!/bin/bash\n{text}\n")
        (directory / name).chmod(0o755)
    (directory / "beside").write_text("a file beside the programs\n")
    project = Project.open(ROOT)
    kernel = project.select(project.specs(["6.12"])).kernels[0]
    machines = Machines(project)
    suite = read_suite(f"directory:{directory}", project.config.debian, project.cache)
    scripts = {name: suite.script(name, seconds=30.0, cpus=1, memory=0) for name in suite.programs}
    experiments = experiments_of(suite, scripts)
    by_name = dict(zip(experiments, scripts.values(), strict=True))
    template = ScriptGuests(machines, by_name, read_test).template(machines.fetch(kernel), Hardware())
    found = {}
    for program, (name, experiment) in zip(scripts, experiments.items(), strict=True):
        outcome = ask(template, Question(program, name, {}, 30.0))
        found[program] = verdict(Cell(kernel, experiment, {}), outcome, 1).record
    return found


@pytest.mark.parametrize("program", sorted(EXPECTED))
def test_each_way_of_judging_oneself_is_understood(records: dict[str, Record], program: str) -> None:
    record = records[program]
    facts = (record.facts["verdict"], record.facts["ok"], record.facts["fail"])
    assert (record.status, *facts) == EXPECTED[program]


def test_a_program_runs_beside_its_files_and_a_part_can_be_skipped(records: dict[str, Record]) -> None:
    assert records["passes"].facts["skip"] == ["two"]


def test_what_is_missing_is_unsupported_and_named(records: dict[str, Record]) -> None:
    assert {name: records[name].status for name in ("skips", "lacks")} == dict.fromkeys(
        ("skips", "lacks"), Status.UNSUPPORTED
    )
    assert "socat" in records["skips"].reason
    assert "perl6" in records["lacks"].reason
