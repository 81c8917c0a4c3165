from __future__ import annotations

import io
import json
import re
import subprocess
import tarfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from matrix.results.record import FactValue
from matrix.script.guests import Ending
from matrix.script.suite import Suite, experiments_of, read_suite, read_test
from vms.cache import Cache
from vms.errors import UsageError
from vms.settings import Debian
from vms.ssh import Attempt

MAKEFILE = """\
TEST_PROGS := conntrack_a.sh \\
\tnft_b.sh
TEST_PROGS += lost.sh
TEST_PROGS_EXTENDED = perf.sh
TEST_GEN_PROGS = dump_flush
TEST_GEN_FILES = nf_queue
nf_queue: LDLIBS += $(MNL_LDLIBS)
"""


def read(text: str, tmp_path: Path) -> Suite:
    return read_suite(text, Debian(), Cache(tmp_path / "cache"))


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A kernel's tree with two tests, one of which needs a helper."""
    place = tmp_path / "linux" / "tools" / "testing" / "selftests" / "net" / "netfilter"
    place.mkdir(parents=True)
    (place / "Makefile").write_text(MAKEFILE)
    (place / "conntrack_a.sh").write_text("#!/bin/bash\nsource lib.sh\n")
    (place / "nft_b.sh").write_text("#!/bin/bash\n./nf_queue -q 1 &\n")
    (place.parent / "lib.sh").write_text("# shared\n")
    (place.parent / "unrelated.sh").write_text("# not pushed\n")
    return tmp_path / "linux"


def packed(suite: Suite, program: str) -> list[str]:
    script = suite.script(program, seconds=9, cpus=1, memory=0)
    with tarfile.open(fileobj=io.BytesIO(script.packed)) as archive:
        return [name for name in archive.getnames() if name.startswith("work/")]


def test_the_programs_of_a_tree_are_those_of_its_makefile_that_are_there(tree: Path, tmp_path: Path) -> None:
    suite = read(f"selftests:tree:{tree}", tmp_path)
    assert suite.programs == ("conntrack_a.sh", "nft_b.sh")
    script = suite.script("conntrack_a.sh", seconds=9, cpus=2, memory=0)
    assert script.command == ("env", "-C", "net/netfilter", "KSFT_MACHINE_SLOW=yes", "./conntrack_a.sh")
    names = packed(suite, "conntrack_a.sh")
    assert {"work/net/lib.sh", "work/net/netfilter/conntrack_a.sh"} <= set(names)
    assert "work/net/unrelated.sh" not in names


def test_a_helper_that_was_not_built_is_named_and_one_that_was_is_used(tree: Path, tmp_path: Path) -> None:
    suite = read(f"selftests:tree:{tree}", tmp_path)
    words = suite.script("nft_b.sh", seconds=9, cpus=1, memory=0).command
    assert words[:2] == ("sh", "-c")
    assert "nf_queue" in words[-1]
    assert words[-1] == "needs nf_queue, built from C: there is no nf_queue.c"
    (tree / "tools/testing/selftests/net/netfilter/nf_queue").write_text("\x7fELF")
    again = read(f"selftests:tree:{tree}", tmp_path)
    assert again.script("nft_b.sh", seconds=9, cpus=1, memory=0).command[-1] == "./nft_b.sh"


def test_a_helper_whose_source_is_there_is_built_and_pushed(tree: Path, tmp_path: Path) -> None:
    source = tree / "tools/testing/selftests/net/netfilter/nf_queue.c"
    source.write_text("int main(void) { return 0; }\n")
    suite = read(f"selftests:tree:{tree}", tmp_path)
    assert suite.script("nft_b.sh", seconds=9, cpus=1, memory=0).command[-1] == "./nft_b.sh"
    assert "work/net/netfilter/nf_queue" in packed(suite, "nft_b.sh")
    assert not source.with_suffix("").exists()  # a user's tree is not written to


@pytest.fixture
def drilled(tmp_path: Path) -> Path:
    """A directory of scripts for packetdrill."""
    directory = tmp_path / "drilled"
    directory.mkdir()
    (directory / "a.pkt").write_text("// both families\n")
    (directory / "b.pkt").write_text("--ip_version=ipv6\n")
    (directory / "defaults.sh").write_text("#!/bin/sh\n")
    return directory


def test_scripts_of_packetdrill_are_rows_that_say_what_they_lack(drilled: Path, tmp_path: Path) -> None:
    suite = read(f"packetdrill:{drilled}", tmp_path)
    assert suite.programs == ("a.pkt", "b.pkt")
    words = suite.script("a.pkt", seconds=9, cpus=1, memory=0).command
    assert words[-1].startswith("needs packetdrill, which no Debian suite has; name a program")


@pytest.mark.parametrize(
    ("script", "code", "said"),
    [
        ("a.pkt", 0, "PASS: ipv4\nPASS: ipv6\n"),
        ("b.pkt", 1, "FAIL: ipv6\n"),
    ],
)
def test_a_script_of_packetdrill_is_run_in_each_family_that_it_is_for(
    drilled: Path, tmp_path: Path, script: str, code: int, said: str
) -> None:
    program = tmp_path / "static"
    program.write_text("\x7fELF")
    suite = read_suite(f"packetdrill:{drilled}", Debian(), Cache(tmp_path / "cache"), packetdrill=program)
    given = suite.script(script, seconds=9, cpus=1, memory=0)
    with tarfile.open(fileobj=io.BytesIO(given.packed)) as archive:
        assert archive.getmember("bin/packetdrill").mode == 0o755
    (tmp_path / "guest").mkdir()
    subprocess.run(["tar", "-x", "-C", tmp_path / "guest"], input=given.packed, check=True)
    tools = tmp_path / "tools"
    tools.mkdir()
    answers = "case $1$xtables in *v4iptables | *v6ip6tables) ;; *) exit 1; esac"
    fakes = {
        "unshare": 'shift; exec "$@"',
        "modprobe": "",
        "packetdrill": f"for last; do :; done; [ -e drilled/defaults.sh ] && [ $last = a.pkt ] && {answers}",
    }
    for name, text in fakes.items():
        (tools / name).write_text(f"#!/bin/sh\n{text}\n")
        (tools / name).chmod(0o755)
    environment = {"PATH": f"{tools}:/usr/bin:/bin"}
    done = subprocess.run(
        given.command,
        cwd=tmp_path / "guest" / "work",
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (code, said)


@pytest.mark.parametrize(
    ("text", "program", "message"),
    [
        ("packetdrill:/nothing", None, "there is no such directory"),
        ("packetdrill:.", None, "there is no file *.pkt"),
        ("directory:.", __file__, "this is not a program for Linux (ELF)"),
    ],
)
def test_wrong_use_of_packetdrill_is_one_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, program: str | None, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    given = Path(program) if program else None
    with pytest.raises(UsageError, match=re.escape(message)):
        read_suite(text, Debian(), Cache(tmp_path / "cache"), packetdrill=given)


def test_the_programs_of_a_directory_are_its_executable_files(tmp_path: Path) -> None:
    directory = tmp_path / "tests"
    directory.mkdir()
    for name, mode in (("b.sh", 0o755), ("a.py", 0o755), ("lib.sh", 0o644)):
        (directory / name).write_text("#!/bin/sh\n")
        (directory / name).chmod(mode)
    suite = read(f"directory:{directory}", tmp_path)
    assert suite.programs == ("a.py", "b.sh")
    assert "work/lib.sh" in packed(suite, "a.py")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("selftest:x", "suites are named directory:PATH, packetdrill:PATH, selftests:linux-source-X.Y"),
        ("directory:", "suites are named directory:PATH"),
        ("directory:/nothing", "there is no such directory"),
        ("selftests:tree:/nothing", "there is no net/netfilter/Makefile in /nothing"),
    ],
)
def test_a_suite_that_is_none_is_refused(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=message):
        read(text, tmp_path)


def test_a_directory_or_makefile_without_programs_is_refused(tree: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="none of its files is executable"):
        read(f"directory:{tmp_path / 'empty'}", tmp_path)
    (tree / "tools/testing/selftests/net/netfilter/Makefile").write_text("all:\n")
    with pytest.raises(UsageError, match="Makefile names no programs"):
        read(f"selftests:tree:{tree}", tmp_path)


SUITE = Suite("s", ("conntrack_a.sh", "nft_b.sh", "nft_c.sh"), {})


def test_only_selects_by_globs_with_or_without_the_suffix() -> None:
    assert SUITE.only([]) == SUITE.programs
    assert SUITE.only(["nft_*", "conntrack_a"]) == SUITE.programs
    assert SUITE.only(["nft_c"]) == ("nft_c.sh",)
    with pytest.raises(UsageError, match=r"s has no such program; did you mean nft_b\.sh"):
        SUITE.only(["nft_bb.sh"])


def test_two_programs_that_differ_in_their_suffix_are_two_experiments() -> None:
    suite = Suite("s", ("a.sh", "a.py"), {})
    scripts = {name: suite.script(name, seconds=9, cpus=1, memory=0) for name in suite.programs}
    assert list(experiments_of(suite, scripts)) == ["suite-a", "suite-a.py"]


def answered(attempt: Attempt | None) -> tuple[str, dict[str, FactValue], str]:
    script = SUITE.script("nft_b.sh", seconds=9, cpus=1, memory=0)
    document: dict[str, Any] = json.loads(read_test(Ending(script, "6.1", attempt, "log")).whole)
    return document["outcome"], document["facts"], document["reason"]


def test_a_verdict_and_its_parts_are_facts() -> None:
    outcome, facts, _ = answered(Attempt(1, b"PASS: b\nPASS: a\nSKIP: c\nXFAIL: e\n", b"FAIL: d\n"))
    assert outcome == "answered"
    assert facts == {"verdict": "fail", "ok": ["a", "b"], "fail": ["d"], "skip": ["c"], "xfail": ["e"]}


def test_a_program_that_is_skipped_is_unsupported_with_its_words() -> None:
    outcome, facts, reason = answered(Attempt(4, b"SKIP: Could not run test without socat\n", b""))
    assert (outcome, facts, reason) == ("unsupported", {}, "SKIP: Could not run test without socat")


def test_a_missing_interpreter_is_unsupported_and_named() -> None:
    outcome, _, reason = answered(Attempt(127, b"", b"./a.sh: line 3: jq: command not found\n"))
    assert (outcome, reason) == ("unsupported", "the guests have no jq")


def test_a_program_that_ends_its_guest_fails_and_one_that_floods_is_ended() -> None:
    assert answered(None)[1]["fail"] == ["it ended the guest"]
    assert answered(Attempt(None, b"x", b"", flooded=True))[::2] == ("timeout", "it printed without end")


def test_a_test_that_fails_breaks_its_invariant() -> None:
    (experiment,) = experiments_of(replace(SUITE, programs=("a.sh",)), {
        "a.sh": SUITE.script("nft_b.sh", seconds=9, cpus=1, memory=0)
    }).values()  # fmt: skip
    (invariant,) = experiment.invariants
    assert not invariant.holds({"verdict": "fail"}, {})
    assert invariant.holds({"verdict": "xfail"}, {})
