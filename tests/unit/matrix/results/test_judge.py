from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from guest.catalogue import Invariant
from matrix.plan.plan import Cell
from matrix.results.judge import Judged, Outcome, judge, verdict
from matrix.results.record import Status
from tests.support.fakes import make_experiment, make_kernel
from vms.answer import Answer

FACTS = {"flows": int, "seen": bool, "state": str, "states": list, "drops": dict}
GOOD: dict[str, Any] = {"drops": {"early": 1}, "flows": 7, "seen": True, "state": "x", "states": ["a", "b"]}
INVARIANTS = (Invariant("at most ten flows", lambda facts, _variant: facts["flows"] <= 10),)
CELL = Cell(make_kernel("6.1.1"), make_experiment("table-full", FACTS, INVARIANTS), {"scope": "root"})


HEADER = b'{"id": "1", "bytes": 1, "seconds": 0.1}'


def judged(cell: Cell = CELL, *, header: bytes = HEADER, **fields: Any) -> Judged:
    whole = {"schema": 1, "outcome": "answered", "facts": GOOD, **fields}
    return judge(cell, Answer(header, json.dumps(whole).encode()))


def test_facts_that_hold_pass_and_are_in_declared_order() -> None:
    record = judged().record
    assert record.status is Status.PASS
    assert list(record.facts) == list(FACTS)
    assert (record.kernel, record.experiment, record.variant) == ("6.1.1", "table-full", {"scope": "root"})


def test_a_broken_invariant_fails_and_is_named() -> None:
    record = judged(facts={**GOOD, "flows": 11}).record
    assert record.status is Status.FAIL
    assert "at most ten flows" in record.reason
    assert record.facts["flows"] == 11


def test_an_invariant_that_raises_is_an_error() -> None:
    wrong = Invariant("wrong", lambda facts, _variant: facts["no such fact"])
    record = judged(Cell(CELL.kernel, make_experiment("x", FACTS, (wrong,)), {})).record
    assert record.status is Status.ERROR
    assert "'wrong' raised KeyError" in record.reason


@pytest.mark.parametrize("outcome", ["unsupported", "timeout", "error"])
def test_cells_without_an_answer_have_a_reason_and_no_facts(outcome: str) -> None:
    record = judged(outcome=outcome, facts={}, reason="modprobe: FATAL: Module tun not found").record
    assert record.status is Status(outcome)
    assert record.reason == "modprobe: FATAL: Module tun not found"
    assert record.facts == {}


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({**GOOD, "flows": True}, "'flows' is declared as int, not bool"),
        ({**GOOD, "seen": 1}, "'seen' is declared as bool, not int"),
        ({**GOOD, "state": 5}, "'state' is declared as str, not int"),
        ({**GOOD, "extra": 1}, "'extra' is not declared"),
        ({key: value for key, value in GOOD.items() if key != "flows"}, "lacks the declared facts flows"),
        ({**GOOD, "flows": None}, "got `null`"),
        ({**GOOD, "flows": 1.5}, "got `float`"),
        ({**GOOD, "states": [1]}, "Expected `str`, got `int`"),
        ({**GOOD, "flows": 2**70}, "too large"),
        ({**GOOD, "state": "x" * 5000}, "too large"),
        ({**GOOD, "states": ["x"] * 2000}, "too large"),
        ({**GOOD, "drops": {"x" * 5000: 1}}, "too large"),
    ],
)
def test_facts_that_are_not_the_declared_ones_are_an_error(facts: dict[str, Any], said: str) -> None:
    record = judged(facts=facts).record
    assert record.status is Status.ERROR
    assert said in record.reason
    assert record.facts == {}


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"{",
        b"[1]",
        b'"\xff"',
        b"[" * 100_000,
        b'{"outcome":"answered"}',
        b'{"schema":2,"outcome":"answered"}',
        b'{"schema":1,"outcome":"wonderful"}',
        b'{"schema":1,"outcome":"timeout"}{',
        b'{"schema":1,"outcome":"timeout","reason":"\\ud800"}',
    ],
)
@pytest.mark.fault(phase="results", fault="guest answers garbage", outcome="the cell ends as `error`")
def test_a_malformed_answer_is_an_error(answer: bytes) -> None:
    verdict = judge(CELL, Answer(HEADER, answer))
    assert verdict.record.status is Status.ERROR
    assert "cannot be used" in verdict.record.reason
    assert verdict.evidence == {}


def test_evidence_is_text_or_base64() -> None:
    verdict = judged(
        evidence={
            "conntrack.txt": {"text": "tcp"},
            "capture.pcap": {"base64": base64.b64encode(b"\xd4\xc3").decode()},
        },
    )
    assert verdict.evidence == {"conntrack.txt": b"tcp", "capture.pcap": b"\xd4\xc3"}
    assert verdict.record.evidence == ("capture.pcap", "conntrack.txt")


def test_evidence_has_only_names_that_a_browser_does_not_run() -> None:
    verdict = judged(
        evidence={name: {"text": "<script>"} for name in ("packets.html", "picture.svg", "state", "a.json")}
    )
    assert verdict.record.evidence == ("a.json", "packets.html.txt", "picture.svg.txt", "state.txt")
    assert set(verdict.evidence) == set(verdict.record.evidence)


@pytest.mark.parametrize("names", [("printed",), ("state", "state.txt")])
def test_evidence_that_would_replace_another_file_is_refused(names: tuple[str, ...]) -> None:
    record = judged(evidence={name: {"text": "x"} for name in names}).record
    assert record.status is Status.ERROR
    assert "evidence cannot be called" in record.reason


def test_texts_of_an_answer_are_cleaned_before_they_are_judged() -> None:
    record = judged(
        facts={**GOOD, "state": "\uffff", "states": ["\u202e"], "drops": {"\x00": 1}}, reason="no\x00"
    ).record
    assert record.facts["state"] == "<U+FFFF>"
    assert record.facts["states"] == ["<U+202E>"]
    assert record.facts["drops"] == {"␀": 1}
    assert judged(outcome="error", reason="no\x00").record.reason == "no␀"


def test_prints_and_the_kernels_log_come_from_the_header() -> None:
    verdict = judged(header=b'{"id": "1", "bytes": 1, "printed": "hello", "dmesg": "full\\n"}')
    assert verdict.evidence == {"printed.txt": b"hello", "dmesg.txt": b"full\n"}


@pytest.mark.parametrize("header", [b"", b"[1]", b'{"printed": 5}', b'{"dmesg": "\\ud800"}'])
def test_a_malformed_header_is_an_error(header: bytes) -> None:
    verdict = judged(header=header)
    assert verdict.record.status is Status.ERROR
    assert "cannot be used" in verdict.record.reason


@pytest.mark.parametrize(
    "name",
    [
        "../x",
        "/etc/passwd",
        "",
        ".hidden",
        "UPPER",
        "a" * 65,
        "record.json",
        "console.log",
        "dmesg.txt",
        "a\nb",
        "x\n",
    ],
)
def test_evidence_cannot_leave_its_directory_or_replace_a_file_of_the_host(name: str) -> None:
    verdict = judged(evidence={name: {"text": "x"}})
    assert verdict.record.status is Status.ERROR
    assert verdict.evidence == {}


def test_too_many_evidence_files_are_refused() -> None:
    assert (
        judged(evidence={f"{number}.txt": {"text": ""} for number in range(65)}).record.status is Status.ERROR
    )


def test_a_huge_reason_is_cut() -> None:
    reason = judged(outcome="error", reason="x" * 10**6).record.reason
    assert len(reason) < 20_100
    assert reason.endswith("x … 980,000 characters more")


WARNING = "WARNING: CPU: 0 PID: 7 at net/core/dev.c:1 dev_x+0x1/0x2\n---[ end trace 0 ]---\n"
HUNG = "INFO: task python3:7 blocked for more than 120 seconds.\n"
PANIC = "Kernel panic - not syncing: sysrq triggered crash\n"


def attempted(console: str, *, header: bytes = HEADER, crashed: str | None = None, **fields: Any) -> Judged:
    whole = {"schema": 1, "outcome": "answered", "facts": GOOD, **fields}
    answer = Answer(header, json.dumps(whole).encode())
    return verdict(CELL, Outcome(answer, console=console, crashed=crashed), 1)


def test_a_warning_leaves_the_answer_and_is_a_fact_and_evidence() -> None:
    found = attempted(WARNING)
    assert found.record.status is Status.PASS
    assert found.record.facts == {**GOOD, "splats": ["WARNING: net/core/dev.c dev_x"]}
    assert [splat.kind for splat in found.record.splats] == ["WARNING"]
    assert found.evidence["splat-1.txt"] == WARNING.strip().encode()
    assert "splat-1.txt" in found.record.evidence


def test_what_a_busy_host_can_cause_is_recorded_but_no_fact() -> None:
    found = attempted(HUNG)
    assert found.record.facts == GOOD
    assert found.record.splats[0].title == "INFO: task python3 blocked"


def test_a_splat_is_found_in_dmesg_where_the_console_has_been_cut() -> None:
    header = json.dumps({"id": "1", "bytes": 1, "dmesg": WARNING}).encode()
    assert attempted("", header=header).record.splats == attempted(WARNING).record.splats


def test_a_crash_names_its_cause_and_has_its_splat_as_evidence() -> None:
    found = attempted(WARNING + PANIC + "more\n" * 100, crashed=PANIC.strip())
    assert (found.record.status, found.record.reason) == (Status.CRASH, PANIC.strip())
    assert [splat.fatal for splat in found.record.splats] == [False, True]
    assert found.evidence["splat-2.txt"] == PANIC.strip().encode()
    assert found.record.facts == {}


def test_no_experiment_can_pass_evidence_off_as_a_splat() -> None:
    found = attempted("", evidence={"splat-1.txt": {"text": "x"}})
    assert found.record.status is Status.ERROR
