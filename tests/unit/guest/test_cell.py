from __future__ import annotations

import errno
import json
import os
import random
import subprocess
import sys
from typing import Any

import pytest

from guest import linux, process
from tests.support.project import ROOT


@pytest.fixture(scope="module")
def cells() -> dict[str, Any]:
    """The answers of cell_script.py, run as the root of user, PID, mount and network namespaces of
    its own.
    """
    command = [
        "unshare",
        "--user",
        "--map-root-user",
        "--net",
        "--pid",
        "--fork",
        "--mount-proc",
        "--kill-child",
    ]
    script = [sys.executable, "-m", "tests.unit.guest.cell_script"]
    done = subprocess.run(
        command + script,
        cwd=ROOT,
        env={**os.environ, "PYTHONUNBUFFERED": ""},  # as in a guest
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_prints_of_an_experiment_do_not_reach_its_answer(cells: dict[str, Any]) -> None:
    answer = cells["answers"]
    assert answer["outcome"] == "answered"
    assert answer["facts"]["number"] == 7
    assert "this is not an answer" in answer["printed"]
    assert "forged" in answer["printed"]
    assert answer["schema"] == 1


def test_an_experiment_is_the_first_process_of_its_PID_namespace(cells: dict[str, Any]) -> None:
    assert cells["answers"]["facts"]["pid"] == 1


def test_a_child_forked_ahead_runs_one_cell_as_a_new_child_would(cells: dict[str, Any]) -> None:
    first, *others = cells["row"]["facts"]
    assert cells["row"]["ahead"] == 2
    assert cells["row"]["left"] == 1  # the child of the other scope
    assert first["began"] > cells["row"]["asked"]  # its clock begins with the cell
    for other in others:
        assert {name: first[name] for name in ("pid", "ttl", "frontend")} == {
            name: other[name] for name in ("pid", "ttl", "frontend")
        }
    assert first["pid"] == 1
    assert first["frontend"] == "legacy"
    assert first["families"] == ["ipv6", "ipv6"]
    assert len({each["random"] for each in (first, *others)}) == 3


def test_a_child_seeds_its_random_numbers_when_its_cell_begins(cells: dict[str, Any]) -> None:
    assert cells["row"]["drawn"] == random.Random(7).random()


def test_a_cell_whose_module_was_loaded_for_it_gets_a_new_child(cells: dict[str, Any]) -> None:
    assert cells["row"]["after_module"] == cells["row"]["left"] - 1  # the one made ahead is ended


def test_an_exception_of_an_experiment_is_an_error_with_its_traceback(cells: dict[str, Any]) -> None:
    assert cells["raises"]["outcome"] == "error"
    assert "RuntimeError: a bug of the experiment" in cells["raises"]["reason"]


def test_unsupported_keeps_the_kernels_message(cells: dict[str, Any]) -> None:
    assert (cells["refused"]["outcome"], cells["refused"]["reason"]) == (
        "unsupported",
        "the kernel's message",
    )


def test_a_missing_module_is_unsupported_with_modprobes_message(cells: dict[str, Any]) -> None:
    assert cells["missing"]["outcome"] == "unsupported"
    assert "no_such_module" in cells["missing"]["reason"]


def test_a_child_that_dies_is_an_error(cells: dict[str, Any]) -> None:
    assert cells["dies"]["outcome"] == "error"
    assert "without an answer" in cells["dies"]["reason"]


def test_the_hosts_word_ends_an_experiment_and_keeps_what_the_experiment_printed(
    cells: dict[str, Any],
) -> None:
    assert cells["hangs"]["outcome"] == "timeout"
    assert cells["hangs"]["printed"] == "about to hang\n"
    assert cells["hangs"]["seconds"] < 500


def test_what_an_experiment_prints_is_bounded(cells: dict[str, Any]) -> None:
    assert cells["prints_for_ever"]["outcome"] == "timeout"
    assert 0 < len(cells["prints_for_ever"]["printed"]) <= 64 << 10


def test_an_answer_beyond_the_bound_is_an_error(cells: dict[str, Any]) -> None:
    assert cells["answers_too_much"]["outcome"] == "error"
    assert "more than" in cells["answers_too_much"]["reason"]


def test_no_process_of_an_experiment_survives_its_cell(cells: dict[str, Any]) -> None:
    assert cells["leaves_a_process"]["outcome"] == "answered"
    assert cells["after"]["sleeping"] == []


def test_root_restores_a_file_that_a_cell_wrote(cells: dict[str, Any]) -> None:
    assert cells["asks_root"]["facts"] == {"inside": "33", "bad": "EINVAL", "missing": "ENOENT"}
    assert cells["settled"] == {"left": [], "ttl": "64"}


def test_a_sysctl_that_root_is_refused_makes_the_cell_unsupported_without_facts(
    cells: dict[str, Any],
) -> None:
    answer = cells["sets_a_missing_sysctl"]
    assert answer["outcome"] == "unsupported"
    assert answer["reason"] == "/proc/sys/net/netfilter/no_such_knob: No such file or directory"
    assert not answer.get("facts")


def test_root_refuses_malformed_requests_of_a_cell(cells: dict[str, Any]) -> None:
    refusals = cells["floods_root"]["facts"]["refusals"]
    assert [refusal.split(":")[0] for refusal in refusals] == ["KeyError", "JSONDecodeError", "TypeError"]


def test_a_child_that_waits_for_room_for_its_network_keeps_its_root_directory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[int] = []

    def unshare(flags: int) -> None:
        asked.append(flags)
        if len(asked) < 3:
            raise OSError(errno.ENOSPC, "no room")

    monkeypatch.setattr("guest.linux.unshare", unshare)
    monkeypatch.setenv("XTABLES_LOCKFILE", "")
    process._enter("root")
    assert asked == [linux.CLONE_NEWNET] * 3 + [linux.CLONE_NEWNS]


def test_an_experiment_of_a_text_is_run_instead_of_the_one_that_was_loaded(cells: dict[str, Any]) -> None:
    assert cells["edited"]["facts"] == {"number": 8}
    assert cells["answers"]["facts"]["number"] == 7


def test_a_text_that_is_wrong_is_an_error_with_a_traceback_that_shows_its_line(
    cells: dict[str, Any],
) -> None:
    for name, line in (("broken", 1), ("raising", 8)):
        assert cells[name]["outcome"] == "error"
        assert f'File "/home/me/edited.py", line {line}' in cells[name]["reason"]
    assert '    raise ValueError("of the text")\n' in cells["raising"]["reason"]
