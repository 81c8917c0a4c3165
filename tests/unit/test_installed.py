"""What `pip install`, `pipx` and `uv tool install` give, in an environment of its own."""

from __future__ import annotations

import re
import tarfile
import zipfile
from pathlib import Path

import pytest

from commands.__main__ import OF_A_CHECKOUT
from matrix import VERSION
from tests.support.installed import Environment, build
from tests.support.project import ROOT
from vms.program import COMMAND, INSTALLED, WORK

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return build(tmp_path_factory.mktemp("dist"))


@pytest.fixture(scope="module")
def environment(built: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Environment:
    made = Environment.empty(tmp_path_factory.mktemp("wheel"))
    made.install(built[1])
    return made


def test_a_checkout_is_not_taken_for_an_installed_program() -> None:
    assert (INSTALLED, COMMAND, WORK) == (False, "./invoke", ROOT)


def test_the_wheel_puts_one_name_into_site_packages(built: tuple[Path, Path]) -> None:
    with zipfile.ZipFile(built[1]) as wheel:
        names = set(wheel.namelist())
    assert {name.split("/")[0] for name in names} == {
        "conntrack_matrix",
        f"conntrack_matrix-{VERSION}.dist-info",
    }
    # Guests, the initramfs and the report are made of these.
    for directory in ("commands", "guest", "matrix", "vms"):
        files = (path for path in (ROOT / directory).rglob("*") if path.is_file())
        wanted = {
            f"conntrack_matrix/{path.relative_to(ROOT)}" for path in files if "__pycache__" not in path.parts
        }
        assert wanted - names <= {"conntrack_matrix/commands/installed.py"}


def test_the_sdist_holds_the_tests_and_nothing_that_git_ignores(built: tuple[Path, Path]) -> None:
    with tarfile.open(built[0]) as sdist:
        names = {name.partition("/")[2] for name in sdist.getnames()}
    assert {"tests/unit/test_installed.py", "invoke", "docs/architecture.md"} <= names
    assert not [name for name in names if name.startswith(("node_modules", ".venv/", "results/2"))]


def test_in_an_empty_directory_the_tasks_answer_by_the_defaults(
    environment: Environment, tmp_path: Path
) -> None:
    listed = environment.run("--list", cwd=tmp_path)
    assert listed.returncode == 0
    assert "  matrix  " in listed.stdout
    assert "  bench  " not in listed.stdout
    assert "baseline" in environment.run("experiments", cwd=tmp_path).stdout
    doctor = environment.run("doctor", "--accel", "tcg", cwd=tmp_path)
    assert "Debian packages: all " in doctor.stdout, doctor.stdout
    assert list(tmp_path.iterdir()) == []


def test_messages_name_the_installed_command(environment: Environment, tmp_path: Path) -> None:
    done = environment.run("matrix", "--locked", "-k", "6.12", cwd=tmp_path)
    assert done.returncode == 2
    assert "/matrix.lock: No such file or directory; `conntrack-matrix lock` creates it" in done.stderr
    for name in OF_A_CHECKOUT:
        refused = environment.run(name, cwd=tmp_path)
        assert refused.returncode == 2
        assert f"{name!r} is a task of `./invoke` in a checkout" in refused.stderr


def test_without_the_extra_a_program_is_told_what_installs_it(
    environment: Environment, tmp_path: Path
) -> None:
    refused = environment.run("mcp", cwd=tmp_path)
    assert refused.returncode == 2
    said = "error: the package mcp is not installed; run: (.*/bin/python[0-9.]*) -m pip install mcp\n"
    found = re.fullmatch(said, refused.stderr)
    assert found, refused.stderr
    assert Path(found[1]).parent == environment.root / "bin"


def test_a_package_that_is_lacking_is_named_with_the_line_that_installs_it(
    environment: Environment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dpkg_query = tmp_path / "dpkg-query"
    dpkg_query.write_text("#!/bin/sh\necho installed cpio\n")
    dpkg_query.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    doctor = environment.run("doctor", "--accel", "tcg", cwd=tmp_path)
    assert doctor.returncode == 3
    line = "as root, run: apt-get install --no-install-recommends qemu-system-x86 mmdebstrap "
    assert line in doctor.stdout
    assert "python3-venv" not in doctor.stdout


def test_names_of_ours_in_the_directory_or_the_environment_change_nothing(
    environment: Environment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("matrix", "tasks", "vms"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('the wrong module')\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert environment.run("experiments", cwd=tmp_path).returncode == 0


def test_the_sdist_installs_the_same(
    built: tuple[Path, Path], environment: Environment, tmp_path: Path
) -> None:
    before = environment.modules
    environment.install(built[0], "--force-reinstall", "--no-deps")
    assert environment.modules == before
    assert environment.run("--version", cwd=tmp_path).stdout == f"conntrack-matrix {VERSION}\n"
