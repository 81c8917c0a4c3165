from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from matrix.plan.catalogue import own_directory, read_catalogue, write_skeleton
from tests.support.project import ROOT
from vms.errors import UsageError


def in_a_process_of_its_own(program: str, *arguments: object) -> str:
    """Imported experiments stay imported, so each reading needs a fresh interpreter."""
    setup = (
        "import sys; from pathlib import Path; from matrix.plan.catalogue import *; from vms.errors import"
        " UsageError\n"
    )
    command = [sys.executable, "-c", setup + program, *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout


def test_the_skeleton_is_an_experiment_of_the_users_own(tmp_path: Path) -> None:
    path = write_skeleton("one-syn", read_catalogue(None), tmp_path)
    assert path == tmp_path / "one_syn.py"
    found = in_a_process_of_its_own("print(read_catalogue(Path(sys.argv[1]))['one-syn'].question)", tmp_path)
    assert found == "What does the kernel do with one SYN?\n"


def test_the_skeleton_is_formatted_and_clean(tmp_path: Path) -> None:
    path = write_skeleton("one-syn", {}, tmp_path)
    for command in (["check"], ["format", "--check"]):
        subprocess.run(
            [Path(sys.executable).parent / "ruff", *command, "--config", ROOT / "pyproject.toml", path],
            check=True,
            capture_output=True,
        )


@pytest.mark.parametrize("name", ["Baseline", "9lives", "a b", "../x", ""])
def test_a_name_that_cannot_be_one_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be an experiment's name"):
        write_skeleton(name, {}, tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_name_that_is_taken_is_refused_and_nothing_is_overwritten(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="an experiment baseline exists already"):
        write_skeleton("baseline", read_catalogue(None), tmp_path)
    (tmp_path / "mine.py").write_text("precious")
    with pytest.raises(UsageError, match="exists already"):
        write_skeleton("mine", {}, tmp_path)
    assert (tmp_path / "mine.py").read_text() == "precious"


def test_a_module_of_the_users_that_is_broken_is_named_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("x = 1\ny = x / 0\n")
    program = "try:\n read_catalogue(Path(sys.argv[1]))\nexcept UsageError as error:\n print(error)"
    assert (
        in_a_process_of_its_own(program, tmp_path)
        == f"{tmp_path}/broken.py, line 2: ZeroDivisionError: division by zero\n"
    )


def test_a_module_of_the_users_that_cannot_be_parsed_is_named_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("x = 1\ny = (\n")
    program = "try:\n read_catalogue(Path(sys.argv[1]))\nexcept UsageError as error:\n print(error)"
    assert in_a_process_of_its_own(program, tmp_path).startswith(
        f"{tmp_path}/broken.py, line 2: SyntaxError: "
    )


def test_own_experiments_is_relative_to_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    assert own_directory("mine", tmp_path) == tmp_path / "mine"
    assert own_directory("", tmp_path) is None
    with pytest.raises(UsageError, match=r"`own_experiments`: .* is not a directory"):
        own_directory("yours", tmp_path)
