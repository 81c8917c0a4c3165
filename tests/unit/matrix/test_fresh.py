"""The README's commands in an empty Debian, with a program that says what mmdebstrap would."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from matrix import fresh
from matrix.fresh import check_suite, chosen_commands, readme_commands, run_fresh
from tests.support.processes import gone
from tests.support.project import ROOT
from vms import mmdebstrap, tool
from vms.errors import FetchError, HostError, UsageError
from vms.settings import Debian, Suite

DEBIAN = Debian(mirror="http://mirror.invalid/debian")
COMMANDS = ("./invoke matrix", "./invoke test")


def test_the_readme_has_two_commands() -> None:
    assert readme_commands((ROOT / "README.md").read_text()) == COMMANDS


def test_commands_elsewhere_on_a_page_are_none() -> None:
    before, after = "## Before\n\n```sh\nno\n```\n\n", "\n```sh\nno\n```\n"
    page = f"{before}## Two commands\n\ntext\n\n```sh\na b   # why\n\nc\n```\n{after}"
    assert readme_commands(page) == ("a b", "c")
    assert readme_commands("# Nothing\n") == ()


def test_all_commands_or_one_with_more_words() -> None:
    assert chosen_commands(COMMANDS, "", ()) == COMMANDS
    assert chosen_commands(COMMANDS, "test", ()) == ("./invoke test",)
    assert chosen_commands(COMMANDS, "matrix", ("-e", "a b")) == ("./invoke matrix -e 'a b'",)


@pytest.mark.parametrize(
    ("only", "words", "said"),
    [
        ("", ("-k", "6.12"), "-- -k 6.12: say with --only which command of the README takes these words"),
        ("matrx", (), "--only 'matrx': the README has no such command; did you mean matrix?"),
    ],
)
def test_a_choice_that_means_no_command_is_refused(only: str, words: Sequence[str], said: str) -> None:
    with pytest.raises(UsageError) as caught:
        chosen_commands(COMMANDS, only, words)
    assert str(caught.value) == said


def test_a_suite_before_debian_12_is_refused() -> None:
    check_suite("bookworm")
    with pytest.raises(UsageError, match="--suite 'bullseye': there is no such suite here"):
        check_suite("bullseye")


class Standing:
    """Stands in for mmdebstrap: notes its words, and runs a shell script in which `say WORDS`
    prints a line that is for the caller.
    """

    def __init__(self, directory: Path) -> None:
        self.program = directory / "mmdebstrap"
        self.said = directory / "said"

    def does(self, script: str) -> None:
        self.program.write_text(
            '#!/bin/bash\n[[ $1 != --unshare-helper ]] || { shift; exec "$@"; }\n'
            f'printf "%s\\n" "$@" >"{self.said}"; env >"{self.said}.env"\n'
            "mark=$(grep -om 1 '[0-9a-f]\\{32\\}' $TMPDIR/script); say() { echo \"$mark $*\"; }\n"
            f"{script}\n"
        )
        self.program.chmod(0o755)

    @property
    def words(self) -> list[str]:
        return self.said.read_text().splitlines()


@pytest.fixture
def standing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, temporary: Path) -> Standing:
    directory = tmp_path / "bin"
    directory.mkdir()
    monkeypatch.setenv("PATH", str(directory), prepend=":")
    monkeypatch.setattr(tool, "SEARCH_PATH", f"{directory}:{tool.SEARCH_PATH}")
    return Standing(directory)


def test_commands_their_codes_and_versions_are_told_and_nothing_is_left(
    standing: Standing, temporary: Path
) -> None:
    standing.does(
        "echo I: working; say begin 0; echo asked; say end 0 0; say begin 1; echo broken >&2; say end 1 3\n"
        "say version Python 3.13.5; say version; say version QEMU 10.0.2"
    )
    lines: list[str] = []
    done = run_fresh(ROOT, "trixie", COMMANDS, DEBIAN, lines.append)
    assert [(one.command, one.code) for one in done.done] == [("./invoke matrix", 0), ("./invoke test", 3)]
    assert done.versions == ("Python 3.13.5", "QEMU 10.0.2")
    assert done.exit_code == 3
    assert lines == ["I: working", "$ ./invoke matrix", "asked", "$ ./invoke test", "broken"]
    assert not list(temporary.iterdir())


def test_what_stands_before_the_mark_on_its_line_is_output(standing: Standing) -> None:
    standing.does("say begin 0; printf 'no end of line'; say end 0 0")
    lines: list[str] = []
    assert run_fresh(ROOT, "trixie", COMMANDS[:1], DEBIAN, lines.append).exit_code == 0
    assert lines[-1] == "no end of line"


def test_the_debian_is_of_the_suite_and_of_the_mirror_that_is_set(standing: Standing) -> None:
    standing.does("say begin 0; say end 0 0")
    debian = Debian(DEBIAN.mirror, suites=(Suite("bookworm"), Suite("bookworm-security", "debian-security")))
    run_fresh(ROOT, "bookworm", COMMANDS[:1], debian, lambda _line: None)
    (suite, _, main, security) = standing.words[-4:]
    assert suite == "bookworm"
    assert main.endswith("http://mirror.invalid/debian bookworm main")
    assert security.endswith("bookworm-security main")
    assert "--mode=unshare" in standing.words


def test_it_has_a_clone_of_the_commit_that_is_checked_out(standing: Standing, tmp_path: Path) -> None:
    standing.does(
        f'for word; do case $word in *bundle*) set -- $word; cp "$2" {tmp_path}/it; break;; esac; done'
    )
    run_fresh(ROOT, "trixie", (), DEBIAN, lambda _line: None)
    heads = subprocess.run(
        ["git", "bundle", "list-heads", tmp_path / "it"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert heads.stdout.split() == [head.stdout.strip(), "HEAD"]


def test_a_tree_of_which_there_is_no_clone_is_named_in_gits_words(
    standing: Standing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(HostError, match=f"cloning {tmp_path}: .*not a git repository"):
        run_fresh(tmp_path, "trixie", COMMANDS, DEBIAN, lambda _line: None)
    subprocess.run(["git", "init", "--quiet", tmp_path], check=True)
    with pytest.raises(HostError, match=f"cloning {tmp_path}: .*Needed a single revision"):
        run_fresh(tmp_path, "trixie", COMMANDS, DEBIAN, lambda _line: None)
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    with pytest.raises(HostError, match="dubious ownership"):
        run_fresh(ROOT, "trixie", COMMANDS, DEBIAN, lambda _line: None)


def test_a_password_of_a_proxy_is_in_no_command_line(
    standing: Standing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("https_proxy", "http://me:secret@proxy.invalid")
    standing.does("")
    run_fresh(ROOT, "trixie", (), DEBIAN, lambda _line: None)
    assert "secret" in Path(f"{standing.said}.env").read_text()
    assert "secret" not in standing.said.read_text()


def test_it_trusts_the_certificates_that_this_host_trusts(
    standing: Standing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificates = tmp_path / "share" / "ca-certificates"
    monkeypatch.setattr(fresh, "_CERTIFICATES", certificates)
    standing.does("")
    run_fresh(ROOT, "trixie", (), DEBIAN, lambda _line: None)
    assert "copy-in" not in standing.said.read_text()
    certificates.mkdir(parents=True)
    run_fresh(ROOT, "trixie", (), DEBIAN, lambda _line: None)
    assert f"--customize-hook=copy-in {certificates} {certificates.parent}" in standing.words


@pytest.mark.parametrize(
    ("said", "means"),
    [
        (
            "E: Release file for http://mirror.invalid/dists/sid/InRelease is expired (invalid since 9d).",
            "a Release file is past its Valid-Until date: the mirror is stale",
        ),
        ("E: Could not resolve 'mirror.invalid'", "the mirror's name cannot be resolved"),
        ("E: no second user id", "E: no second user id"),
    ],
)
def test_a_debian_that_cannot_be_made_is_one_message(
    standing: Standing, temporary: Path, said: str, means: str
) -> None:
    standing.does(f'echo "I: running apt-get update..."; echo "{said}" >&2; exit 25')
    with pytest.raises(FetchError) as caught:
        run_fresh(ROOT, "sid", COMMANDS, DEBIAN, lambda _line: None)
    assert str(caught.value).startswith("an empty Debian sid: ")
    assert means.removeprefix("E: ") in str(caught.value)
    assert not list(temporary.iterdir())


def test_an_end_without_a_word_of_a_command_is_an_error(standing: Standing) -> None:
    standing.does("say begin 0; exit 0")
    with pytest.raises(HostError, match=r"ended before `\./invoke matrix` did"):
        run_fresh(ROOT, "trixie", COMMANDS[:1], DEBIAN, lambda _line: None)


def test_what_never_ends_is_ended_at_the_deadline(
    standing: Standing, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fresh, "_ROOT_SECONDS", 1)
    monkeypatch.setattr(fresh, "_COMMAND_SECONDS", 0)
    standing.does("echo $$ >&2; exec sleep 1000")
    lines: list[str] = []
    with pytest.raises(HostError, match="did not finish within 1 s"):
        run_fresh(ROOT, "trixie", COMMANDS, DEBIAN, lines.append)
    assert all(gone(int(line)) for line in lines)  # a busy machine may not have come so far
    assert not list(temporary.iterdir())


# Before it removes what mmdebstrap left, it waits for a line.
_TASK = """
import tempfile, sys
from pathlib import Path
from vms import mmdebstrap, runtime
tempfile.tempdir = sys.argv[1]
runtime._base = lambda: Path(sys.argv[1])
remove_tree = mmdebstrap.remove_tree
def remove(path):
    print("removing", flush=True)
    sys.stdin.readline()
    remove_tree(path)
mmdebstrap.remove_tree = remove
from commands.__main__ import main
main(["fresh"])
"""


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (signal.SIGINT, signal.SIGINT),
        (signal.SIGTERM, signal.SIGHUP),
        (signal.SIGHUP, signal.SIGTERM),
    ],
)
def test_a_signal_ends_all_of_it_and_another_does_not_interrupt_that(
    standing: Standing, temporary: Path, first: signal.Signals, second: signal.Signals
) -> None:
    standing.does("sleep 1000 & echo child $!; touch $TMPDIR/file; wait")
    with subprocess.Popen(
        [sys.executable, "-c", _TASK, str(temporary)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        restore_signals=True,
    ) as process:
        assert process.stdout
        child = process.stdout.readline().split()[1]
        process.send_signal(first)
        assert process.stdout.readline() == "removing\n"
        process.send_signal(second)
        _, errors = process.communicate("\n", timeout=120)
    said = "interrupted; removing the Debian\nthe Debian is removed\n"
    assert (process.returncode, errors) == (130, said)
    assert not list(temporary.iterdir())
    assert gone(int(child))


def test_what_a_killed_run_left_is_removed_by_the_next(standing: Standing, temporary: Path) -> None:
    (temporary / "conntrack-matrix-fresh-abcdefgh" / "mmdebstrap.old" / "etc").mkdir(parents=True)
    standing.does(f"ls {temporary} >{standing.said}.seen")
    run_fresh(ROOT, "trixie", (), DEBIAN, lambda _line: None)
    (name,) = Path(f"{standing.said}.seen").read_text().split()
    assert name != "conntrack-matrix-fresh-abcdefgh"


def test_a_missing_mmdebstrap_is_named(monkeypatch: pytest.MonkeyPatch, temporary: Path) -> None:
    monkeypatch.setattr(mmdebstrap, "PROGRAM", "mmdebstrap-that-is-not-there")
    with pytest.raises(HostError, match="mmdebstrap-that-is-not-there is missing on this host"):
        run_fresh(ROOT, "trixie", COMMANDS, DEBIAN, lambda _line: None)
