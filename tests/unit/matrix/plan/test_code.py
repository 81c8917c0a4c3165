from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from guest.catalogue import load
from matrix.plan import code
from matrix.plan.code import code_digests
from tests.support.fakes import make_experiment
from tests.support.project import ROOT

MODULES = {"one": "X = 1\n", "two": "Y = 2\n", "both": "from guest.experiments.one import X\n"}


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small checkout whose modules of experiments are loaded under their real names."""
    for path in ("guest/experiments", "vms/kernels", "matrix/run", "matrix/results"):
        (tmp_path / path).mkdir(parents=True)
    for path in ("guest/lab.py", "vms/qemu.py", "vms/kernels/fetch.py", "matrix/run/cell.py"):
        (tmp_path / path).write_text("")
    for path in ("matrix/results/judge.py", "matrix/results/record.py", "matrix/results/directory.py"):
        (tmp_path / path).write_text("")
    for name, text in MODULES.items():
        place(tmp_path / f"guest/experiments/{name}.py", text, monkeypatch)
    monkeypatch.setattr(code, "CODE", tmp_path)
    monkeypatch.setattr(code, "_EXPERIMENTS", tmp_path / "guest/experiments")
    monkeypatch.setattr(code, "_APART", (tmp_path / "guest/experiments", tmp_path / "vms/kernels"))
    return tmp_path


def place(path: Path, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path.write_text(text)
    module = type(sys)(f"guest.experiments.{path.stem}")
    module.__file__ = str(path)
    monkeypatch.setitem(sys.modules, module.__name__, module)


def digests(own: Path | None = None, *more: str) -> dict[str, str]:
    names = (*MODULES, *more)
    experiments = {name: make_experiment(name, module=f"guest.experiments.{name}") for name in names}
    return code_digests(experiments, own)


def changed(before: dict[str, str], after: dict[str, str]) -> set[str]:
    return {name for name in after if before.get(name) != after[name]}


def test_words_for_its_facts_are_no_part_of_an_experiment(checkout: Path) -> None:
    declared = checkout / "matrix/analysis/wording/one.py"
    declared.parent.mkdir(parents=True)
    declared.write_text("WORD = 'yes'\n")
    before = digests()
    declared.write_text("WORD = 'no'\n")
    assert digests() == before


def test_an_experiment_changes_with_its_module_and_what_imports_others_with_all(checkout: Path) -> None:
    before = digests()
    assert digests() == before
    (checkout / "guest/experiments/two.py").write_text("Y = 3\n")
    assert changed(before, digests()) == {"two", "both"}
    (checkout / "guest/experiments/three.py").write_text("")
    assert changed(before, digests()) == {"two", "both"}


@pytest.mark.parametrize(
    "path", ["guest/lab.py", "vms/qemu.py", "matrix/run/cell.py", "matrix/results/judge.py"]
)
def test_every_experiment_changes_with_what_runs_and_judges_all(checkout: Path, path: str) -> None:
    before = digests()
    (checkout / path).write_text("changed = 1")
    assert changed(before, digests()) == set(MODULES)


@pytest.mark.parametrize("path", ["vms/kernels/fetch.py", "matrix/results/directory.py"])
def test_no_experiment_changes_with_what_cannot_change_an_answer(checkout: Path, path: str) -> None:
    before = digests()
    (checkout / path).write_text("changed = 1")
    assert digests() == before


def test_one_of_the_users_own_changes_with_every_file_beside_it_and_changes_no_other(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = digests()
    own = checkout / "own"
    own.mkdir()
    place(own / "mine.py", "", monkeypatch)
    added = digests(own, "mine")
    assert changed(before, added) == {"mine", "both"}
    (own / "packets.json").write_text("[]")
    assert changed(added, digests(own, "mine")) == {"mine", "both"}


def test_an_experiment_that_no_file_defines_has_no_digest() -> None:
    assert code_digests({"baseline": make_experiment("baseline")}, None) == {}


def test_every_experiment_of_the_catalogue_has_a_digest() -> None:
    program = (
        "from matrix.plan.catalogue import read_catalogue\n"
        "from matrix.plan.code import code_digests\n"
        "found = read_catalogue(None)\n"
        "print(len(set(code_digests(found, None).values())), len({e.module for e in found.values()}))"
    )
    command = [sys.executable, "-c", program]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    assert said[0] == said[1] == str(len({e.module for e in load().values()}))


QUESTIONS = '''"""What {topic}?"""

from guest.lab.packets import {packets}

PORT = {port}
SIZE, TIMES = {size}, 2


def helper():
    """{doc}"""
    return udp(PORT)


@experiment()
def one(lab):
    """{doc}"""
    return {{"a": helper()}}  # {doc}


@experiment()
def two(lab):
    """{doc}"""
    return {{"a": {value} * SIZE}}
'''


@pytest.mark.parametrize(
    ("changes", "rewritten"),
    [
        ({"doc": "Says it better.", "topic": "else"}, set()),
        ({"value": 7}, {"two"}),
        ({"port": 81}, {"one"}),
        ({"size": 5}, {"two"}),
        ({"packets": "tcp, udp"}, set()),
        ({"packets": "udp6 as udp"}, {"one"}),
    ],
)
def test_an_experiment_is_rewritten_if_its_code_is_or_what_it_uses_of_its_module(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, object], rewritten: set[str]
) -> None:
    words: dict[str, object] = {"doc": "What?", "topic": "it", "port": 80, "value": 1, "size": 4}
    words |= {"packets": "udp"}
    path = checkout / "guest/experiments/pair.py"
    asked = {name: make_experiment(name, module="guest.experiments.pair") for name in ("one", "two")}
    place(path, QUESTIONS.format(**words), monkeypatch)
    before = code.question_digests(asked)
    place(path, QUESTIONS.format(**words | changes), monkeypatch)
    assert changed(before, code.question_digests(asked)) == rewritten
