"""`git bisect run` with `./invoke verdict` in a repository whose commits are real kernels."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.support.project import CONFIG, ROOT
from tests.support.specs import kernels_of
from vms.cache import Cache
from vms.kernels.catalogue import Catalogue
from vms.kernels.fetch import fetch

pytestmark = pytest.mark.guest
QUESTION = "inwindow-rst[family=ipv4,offset=inside]:lifetime=10 s"
FIRST_NEW = 5
BROKEN = 3


def git(repository: Path, *words: str) -> str:
    ada = ["-c", "user.name=Ada", "-c", "user.email=ada@example.org"]
    done = subprocess.run(
        ["git", "-C", str(repository), *ada, *words],
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, "GIT_CONFIG_GLOBAL": os.devnull},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def spec(series: str, builds: Catalogue, cache: Cache) -> str:
    files = fetch(kernels_of([series], builds, ROOT)[0], cache)
    return f"image:{files.vmlinuz},modules={files.modules}"


def test_the_first_commit_with_another_value_is_found_past_one_that_cannot_be_built(
    cache: Cache, tmp_path: Path
) -> None:
    builds = Catalogue.load(CONFIG.debian, cache)
    old, new = spec("6.1", builds, cache), spec("6.12", builds, cache)
    repository = tmp_path / "linux"
    repository.mkdir()
    git(repository, "init", "--quiet")
    hashes = []
    for number in range(7):
        kernel = "image:/nothing" if number == BROKEN else old if number < FIRST_NEW else new
        (repository / "kernel").write_text(f"{kernel}\n# {number}\n")
        git(repository, "add", "kernel")
        git(repository, "commit", "--quiet", "--message", f"commit {number}")
        hashes.append(git(repository, "rev-parse", "HEAD").strip())
    # The task as it is, with its results elsewhere than in the checkout.
    program = tmp_path / "verdict.py"
    program.write_text(
        textwrap.dedent(f"""
        import sys
        from pathlib import Path
        sys.path.insert(0, {str(ROOT)!r})
        import commands.shell
        commands.shell.RESULTS = Path({str(tmp_path / "results")!r})
        from commands.__main__ import main
        kernel = Path("kernel").read_text().splitlines()[0]
        main(["verdict", {QUESTION!r}, "--kernel", kernel, "--offline"])
        """)
    )
    git(repository, "bisect", "start", hashes[-1], hashes[0])
    said = git(repository, "bisect", "run", sys.executable, str(program))
    # Git 2.55 puts the word between quotes, 2.39 does not.
    assert f"{hashes[FIRST_NEW]} is the first bad commit" in said.replace("'bad'", "bad")
    assert "lifetime is 10 s" in said
    assert "lifetime is 300 s" in said
