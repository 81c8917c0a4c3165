from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from matrix.plan.plan import make_plan
from matrix.replay import Asked, Replay, find_cell, replay
from matrix.report.text.replayed import print_replay
from matrix.results.judge import Judged
from matrix.results.record import Record, Status
from tests.support.fakes import FakeGuests, answer, make_experiment, make_kernel
from tests.support.runs import open_for
from vms.answer import Answer
from vms.errors import LostGuest, UsageError

KERNEL = make_kernel("6.12.9")
EXPERIMENT = make_experiment("flood", variants={"scope": ("root", "user")})
CATALOGUE = {"flood": EXPERIMENT}
CELL = "6.12.9/flood/scope=root"


def record(**fields: object) -> Record:
    usual = Record("6.12.9", "flood", {"scope": "root"}, Status.PASS, {"flows": 7})
    return replace(usual, **fields)  # type: ignore[arg-type]


def asked(results: Path, kept: Record, cell: str = CELL) -> Asked:
    run = open_for(make_plan([KERNEL], [EXPERIMENT]), results)
    run.keep(Judged(kept, {}), "")
    run.close(finished=True)
    return find_cell(results, run.path.name, cell)


def replayed(found: Asked, guests: FakeGuests) -> Replay:
    return replay(found, found.cell(KERNEL, CATALOGUE), guests)


def guests(flows: int) -> FakeGuests:
    return FakeGuests(lambda _kernel, request: answer(request, facts={"flows": flows}))


def said(done: Replay) -> str:
    console = Console(file=io.StringIO(), width=100)
    print_replay(done, console)
    return console.file.getvalue()  # type: ignore[attr-defined, no-any-return]


def test_the_same_answer_ends_with_0(tmp_path: Path) -> None:
    done = replayed(asked(tmp_path, record()), guests(7))
    assert done.exit_code == 0
    assert said(done) == "6.12.9 flood [scope=root]: the same answer (pass, 1 fact)\n"


def test_another_answer_ends_with_1_and_shows_the_fact(tmp_path: Path) -> None:
    done = replayed(asked(tmp_path, record()), guests(8))
    assert done.exit_code == 1
    lines = said(done).splitlines()
    assert [line.split() for line in lines[:2]] == [["fact", "in", "the", "run", "now"], ["flows", "7", "8"]]
    assert lines[2] == "6.12.9 flood [scope=root]: another answer: pass in the run, pass now"


def test_no_answer_now_ends_with_3(tmp_path: Path) -> None:
    def lost(_kernel: str, _request: dict[str, Any]) -> Answer:
        raise LostGuest("the guest ended")

    done = replayed(asked(tmp_path, record()), FakeGuests(lost))
    assert done.exit_code == 3
    assert said(done) == "6.12.9 flood [scope=root]: no answer now: the guest ended\n"


def test_what_else_is_not_as_in_the_run_is_said(tmp_path: Path) -> None:
    others = guests(7)
    others.surroundings = replace(others.surroundings, qemu="10.0", agent="0")
    done = replayed(asked(tmp_path, record()), others)
    assert done.exit_code == 0
    assert said(done).endswith("not as in the run: the code in the guest, QEMU\n")


def test_a_cell_that_the_run_does_not_have_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"has no cell '6\.12\.9/flod'; did you mean 6\.12\.9/flood/scope"):
        asked(tmp_path, record(), "6.12.9/flod")


def test_a_cell_without_an_answer_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="has no answer in the run r1: no boot"):
        asked(tmp_path, record(status=Status.ERROR, facts={}, reason="no boot"))


@pytest.mark.parametrize("name", ["script-a.sh", "suite-a"])
def test_a_script_is_refused(tmp_path: Path, name: str) -> None:
    kept = record(experiment=name)
    with pytest.raises(UsageError, match="a run does not keep the script"):
        asked(tmp_path, kept, f"6.12.9/{name}/scope=root")


def test_another_build_under_the_same_name_is_refused(tmp_path: Path) -> None:
    found = asked(tmp_path, record())
    assert found.spec == KERNEL.id
    with pytest.raises(UsageError, match="is another build than in the run"):
        found.cell(replace(KERNEL, id="debian:6.12.9=6.12.9-2"), CATALOGUE)


def test_a_kernel_of_the_users_is_selected_by_its_place(tmp_path: Path) -> None:
    found = asked(tmp_path, record())
    own = replace(found, kernel=replace(found.kernel, name="mine", id="tree:../linux=0123abcd"))
    assert own.spec == "mine=tree:../linux"


def test_other_files_of_the_same_build_are_refused(tmp_path: Path) -> None:
    found = asked(tmp_path, record())
    other = replace(found, kernel=replace(found.kernel, sha256={"vmlinuz": "11"}))
    with pytest.raises(UsageError, match="its files are not those of the run r1"):
        replayed(other, FakeGuests())


def test_an_experiment_or_variant_that_is_gone_is_refused(tmp_path: Path) -> None:
    found = asked(tmp_path, record())
    with pytest.raises(UsageError, match="there is no experiment 'flood' any more"):
        found.cell(KERNEL, {})
    with pytest.raises(UsageError, match="flood has no variant 'scope=root' any more"):
        found.cell(KERNEL, {"flood": make_experiment("flood")})


def test_a_cell_that_names_a_number_of_cpus_is_asked_with_as_many(tmp_path: Path) -> None:
    deferred = make_experiment("deferred", variants={"cpus": ("1", "2")})
    run = open_for(make_plan([KERNEL], [deferred]), tmp_path)
    run.keep(Judged(record(experiment="deferred", variant={"cpus": "2"}), {}), "")
    run.close(finished=True)
    found = find_cell(tmp_path, run.path.name, "6.12.9/deferred/cpus=2")
    fakes = guests(7)
    replay(found, found.cell(KERNEL, {"deferred": deferred}), fakes)
    assert fakes.templates == [("6.12.9", 2)]
