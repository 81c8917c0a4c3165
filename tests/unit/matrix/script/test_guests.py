from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from matrix.plan.plan import Cell
from matrix.results.judge import judge
from matrix.results.record import Record, Status
from matrix.script.guests import MOST_OUTPUT, ScriptGuest, experiment_of, read_script
from matrix.script.script import Script
from matrix.script.written import MOST_FILES
from tests.support.fakes import make_kernel
from vms.deadline import Deadline
from vms.errors import LostGuest
from vms.guest import Guest
from vms.ssh import Attempt, Finished, Unreadable

RELEASE = "6.1.0-cloud-amd64"


@dataclass
class FakeSsh:
    attempted: Attempt
    sysctl: Finished = field(default_factory=lambda: Finished(0, ""))
    lost: bool = False
    log: str = ""
    listing: str = ""
    tcpdump: Finished = field(default_factory=lambda: Finished(0, ""))
    files: dict[str, bytes] = field(default_factory=dict)
    ran: list[str] = field(default_factory=list)

    def pull(self, source: str, most: int, deadline: Deadline) -> bytes:
        if source not in self.files:
            raise Unreadable("no such file")
        return self.files[source]

    def push_packed(self, packed: bytes, target: str, deadline: Deadline) -> None:
        assert packed
        assert target == "/run/script"

    def run(self, command: str, deadline: Deadline) -> Finished:
        self.ran.append(command)
        if "/usr/bin/tcpdump" in command:
            return self.tcpdump
        if "find" in command:
            return Finished(0, self.listing)
        return self.sysctl if "sysctl" in command else Finished(0, self.log)

    def attempt(self, command: str, deadline: Deadline, most: int, after: Deadline) -> Attempt:
        self.ran.append(command)
        assert most == MOST_OUTPUT
        assert after.remaining > deadline.remaining
        if self.lost:
            raise LostGuest("went away")
        return self.attempted


@dataclass
class FakeGuest:
    session: FakeSsh
    switched_off: bool = False

    def by_own_clock(self, deadline: Deadline) -> Deadline:
        return deadline

    @contextmanager
    def ssh(self, deadline: Deadline) -> Iterator[FakeSsh]:
        yield self.session


def script(**fields: Any) -> Script:
    return Script("a b.sh", ("bash", "./a b.sh", "x y"), {}, **fields)


def answered(guest: FakeGuest, given: Script) -> tuple[Record, dict[str, bytes]]:
    """The record that the host makes of the script's answer, and its evidence."""
    experiment, variant = experiment_of(given)
    one = ScriptGuest(cast(Guest, guest), {experiment.name: given}, read_script, RELEASE)
    request = json.dumps({"experiment": experiment.name}).encode()
    answer = one.ask(request, Deadline(10, "it to answer"))
    judged = judge(Cell(make_kernel("6.1.1"), experiment, variant), answer)
    return judged.record, judged.evidence


def test_exit_code_lines_and_log_are_facts_and_the_raw_output_is_evidence() -> None:
    output = f"b 00:00:01.5\na\nb 00:00:02.5\n{RELEASE}\n".encode()
    session = FakeSsh(Attempt(3, output, b"oh\n"), log="table full\ntable full\n")
    record, evidence = answered(FakeGuest(session), script())
    assert record.status is Status.PASS
    assert record.facts == {
        "exit_code": 3,
        "ended": "by itself",
        "lines": {"b <time>": 2, "a": 1, "<release>": 1},
        "errors": {"oh": 1},
        "kernel_log": ["table full"],
        "files": [],
    }
    assert evidence == {
        "output.txt": output,
        "errors.txt": b"oh\n",
        "dmesg.txt": b"table full\ntable full\n",
    }
    assert " sh /run/script/enter bash './a b.sh' 'x y' </run/script/stdin;" in session.ran[0]


def test_two_outputs_in_different_orders_have_equal_facts() -> None:
    records = [
        answered(FakeGuest(FakeSsh(Attempt(0, text, b""))), script())[0] for text in (b"a\nb\n", b"b\na\n")
    ]
    assert records[0].facts == records[1].facts


def test_a_line_that_is_ignored_altogether_is_not_compared() -> None:
    given = script(ignored=(re.compile("^noise.*"),))
    record, _ = answered(FakeGuest(FakeSsh(Attempt(0, b"noise 1\nnoise 2\na\n", b""))), given)
    assert record.facts["lines"] == {"a": 1}


@pytest.mark.parametrize(
    ("attempt", "code", "ended"),
    [
        (Attempt(None, bytes(10), b"", flooded=True), -1, "it printed more than 4 MiB"),
        (Attempt(137, b"", b""), 137, "SIGKILL"),
        (Attempt(255, b"", b""), 255, "by itself"),
        (Attempt(127, b"", b"./a.sh: line 3: jq: command not found\n"), 127, "a program is missing: jq"),
        (Attempt(127, b"", b"./a: 2: jq: not found\n"), 127, "a program is missing: jq"),
        (
            Attempt(127, b"", "env: \u2018perl6\u2019: No such file or directory\n".encode()),
            127,
            "a program is missing: perl6",
        ),
        (
            Attempt(127, b"", b"/run/script/enter: 4: exec: ./a: not found\n"),
            127,
            "a program is missing: interpreter for ./a",
        ),
        (Attempt(127, b"", b""), 127, "by itself"),
        (Attempt(1, b"", b"./a.sh: line 3: jq: command not found\n"), 1, "by itself"),
    ],
)
def test_how_a_script_ended_is_a_fact(attempt: Attempt, code: int, ended: str) -> None:
    record, _ = answered(FakeGuest(FakeSsh(attempt)), script())
    assert (record.facts["exit_code"], record.facts["ended"]) == (code, ended)


def test_a_script_that_never_ends_is_a_timeout_with_its_output() -> None:
    session = FakeSsh(Attempt(None, b"begun\n", b""))
    record, evidence = answered(FakeGuest(session), script(seconds=5.0))
    assert (record.status, record.reason) == (Status.TIMEOUT, "did not end within 5 s (--timeout)")
    assert evidence["output.txt"] == b"begun\n"


def test_a_sysctl_that_the_kernel_refuses_is_unsupported_with_its_words() -> None:
    session = FakeSsh(Attempt(0, b"", b""), sysctl=Finished(1, "sysctl: x: Invalid argument\n"))
    record, _ = answered(FakeGuest(session), script(sysctls={"x.y": "7 8"}))
    assert (record.status, record.reason) == (Status.UNSUPPORTED, "sysctl: x: Invalid argument")
    assert "'x.y=7 8'" in session.ran[0]
    assert len(session.ran) == 1


def test_a_script_that_switches_its_guest_off_is_an_answer() -> None:
    session = FakeSsh(Attempt(0, b"", b""), lost=True)
    record, _ = answered(FakeGuest(session, switched_off=True), script())
    assert (record.facts["exit_code"], record.facts["ended"]) == (-1, "it ended the guest")


@pytest.mark.fault(
    phase="cell", fault="a user's script floods its output", outcome="it is ended, and that is its answer"
)
def test_a_flood_is_cut_and_an_answer() -> None:
    session = FakeSsh(Attempt(None, bytes(10), b"", flooded=True))
    record, evidence = answered(FakeGuest(session), script())
    assert (record.facts["ended"], len(evidence["output.txt"])) == ("it printed more than 4 MiB", 10)


def test_a_guest_that_is_lost_is_an_error_of_the_tool() -> None:
    with pytest.raises(LostGuest):
        answered(FakeGuest(FakeSsh(Attempt(0, b"", b""), lost=True)), script())


def test_more_lines_than_a_fact_holds_are_compared_by_a_digest() -> None:
    def lines(last: str) -> dict[str, int]:
        output = "".join(f"line {number:05}\n" for number in range(2000)) + last
        record, _ = answered(FakeGuest(FakeSsh(Attempt(0, output.encode(), b""))), script())
        assert record.status is Status.PASS
        return cast(dict[str, int], record.facts["lines"])

    one, other = lines("line x\n"), lines("line y\n")
    assert len(one) == 1000
    assert one != other
    assert one == lines("line x\n")
    assert json.dumps(one).count("more different lines, sha256") == 1


def test_scope_and_sysctls_are_the_variant() -> None:
    experiment, variant = experiment_of(script(user=True, sysctls={"net.x": "7"}))
    assert experiment.name == "script-a-b.sh"
    assert variant == {"scope": "user", "net.x": "7"}
    assert experiment.combinations() == [variant]


def test_a_script_has_a_guest_of_its_own() -> None:
    assert experiment_of(script())[0].alone


@pytest.mark.parametrize("attempt", [Attempt(0, b"", b""), Attempt(None, b"", b"")])
def test_what_was_captured_is_evidence_also_of_a_script_that_never_ended(attempt: Attempt) -> None:
    session = FakeSsh(attempt, files={"/run/script/capture.pcap": b"\xd4\xc3"})
    _, evidence = answered(FakeGuest(session), script(capture=True))
    assert evidence == {"capture.pcap": b"\xd4\xc3"}
    order = [
        next(word for word in ("tcpdump", "enter", "dmesg", "kill -INT", "find") if word in line)
        for line in session.ran
    ]
    assert order[:4] == ["tcpdump", "enter", "dmesg", "kill -INT"]


def test_a_kernel_that_cannot_capture_is_unsupported_with_tcpdumps_words() -> None:
    session = FakeSsh(Attempt(0, b"", b""), tcpdump=Finished(1, "tcpdump: socket: no\n"))
    record, _ = answered(FakeGuest(session), script(capture=True))
    assert (record.status, record.reason) == (Status.UNSUPPORTED, "--capture: tcpdump: socket: no")
    assert len(session.ran) == 1


WORK = "/run/script/work/"


def listed(*lines: str) -> str:
    return "".join(f"{line}\0" for line in lines)


def test_files_that_a_script_wrote_are_evidence_and_compared_without_what_changes_from_run_to_run() -> None:
    records = []
    for time in ("00:00:01.5", "00:00:02.5"):
        files = {f"{WORK}Sub/Out": f"at {time}\n".encode(), f"{WORK}x.pcap": b"\0" + time.encode()}
        session = FakeSsh(Attempt(0, b"", b""), listing=listed("14 Sub/Out", "11 x.pcap"), files=files)
        record, evidence = answered(FakeGuest(session), script())
        assert list(evidence.values()) == list(files.values())
        assert list(evidence) == ["file-sub-out.txt", "file-x.pcap"]
        records.append(record.facts["files"])
    assert records[0] == records[1]
    assert isinstance(records[0], list)
    assert [name.partition(",")[0] for name in records[0]] == ["Sub/Out: 1 lines", "x.pcap: no text"]


def test_another_text_in_a_file_is_another_fact() -> None:
    found = [
        answered(
            FakeGuest(FakeSsh(Attempt(0, b"", b""), listing=listed("1 a"), files={f"{WORK}a": text})),
            script(),
        )[0].facts["files"]
        for text in (b"1", b"2")
    ]
    assert found[0] != found[1]


def test_files_are_kept_within_bounds_and_what_is_not_kept_is_named() -> None:
    names = [f"{number:02}" for number in range(20)]
    listing = listed("2000000 big", "5 gone", *(f"1 {name}" for name in names), "no listing")
    session = FakeSsh(Attempt(0, b"", b""), listing=listing, files={f"{WORK}{name}": b"x" for name in names})
    record, evidence = answered(FakeGuest(session), script())
    files = record.facts["files"]
    assert isinstance(files, list)
    assert (files[0], files[1], files[-1]) == ("big: more than 1 MiB", "gone: not kept", "19: not kept")
    assert len(evidence) == MOST_FILES - 1
    assert len(files) == 22


def test_files_of_one_name_are_both_kept() -> None:
    files = {f"{WORK}a b": b"1", f"{WORK}a-b": b"2"}
    session = FakeSsh(Attempt(0, b"", b""), listing=listed("1 a b", "1 a-b"), files=files)
    _, evidence = answered(FakeGuest(session), script())
    assert evidence == {"file-a-b.txt": b"1", "file-a-b-2.txt": b"2"}


def test_files_of_a_suites_program_are_not_asked_for() -> None:
    session = FakeSsh(Attempt(0, b"", b""), listing=listed("1 a"), files={f"{WORK}a": b"1"})
    record, evidence = answered(FakeGuest(session), script(keep=False))
    assert (record.facts["files"], evidence) == ([], {})
