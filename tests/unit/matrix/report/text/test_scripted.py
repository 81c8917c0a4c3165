from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from matrix.analysis.analysis import analyse
from matrix.analysis.ledger.model import Ledger
from matrix.plan.plan import make_plan
from matrix.report.text.scripted import bad_script, print_script
from matrix.results.directory import cell_path
from matrix.results.manifest import Manifest, kernel_entries
from matrix.results.record import Record, Status
from matrix.script.guests import experiment_of
from matrix.script.script import Script
from tests.support.fakes import SURROUNDINGS, make_kernel

SCRIPT = Script("a.sh", ("./a.sh",), {})
KERNELS = [make_kernel(release) for release in ("5.10.1", "6.1.5", "6.12.9")]


def answered(kernel: str, output: str, **facts: Any) -> tuple[Record, str]:
    lines = {line: output.splitlines().count(line) for line in output.splitlines()}
    known: dict[str, Any] = {
        "exit_code": 0,
        "ended": "by itself",
        "lines": lines,
        "errors": {},
        "kernel_log": [],
    }
    return (
        Record(
            kernel,
            "script-a.sh",
            {"scope": "root"},
            Status.PASS,
            known | facts,
            seconds=1.5,
            evidence=("output.txt",) if output else (),
        ),
        output,
    )


def printed(run: Path, *answers: tuple[Record, str]) -> str:
    experiment, _ = experiment_of(SCRIPT)
    for record, output in answers:
        path = cell_path(run, record)
        path.mkdir(parents=True, exist_ok=True)
        (path / "output.txt").write_text(output)
    manifest = Manifest(
        "run",
        "plan",
        "2026-11-27T00:00:00+00:00",
        (),
        1,
        (experiment.name,),
        kernel_entries(make_plan(KERNELS, [experiment])),
        SURROUNDINGS,
    )
    records = [record for record, _ in answers]
    analysis = analyse(manifest, records, {experiment.name: experiment}, Ledger({}, (), {}))
    console = Console(file=io.StringIO(), width=200)
    print_script(analysis, run, SCRIPT, console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_the_first_output_is_shown_whole_and_of_others_the_lines_that_differ(tmp_path: Path) -> None:
    text = printed(
        tmp_path,
        answered("5.10.1", "one\ntwo\n"),
        answered("6.1.5", "two\none\n"),
        answered("6.12.9", "one\nthree\x1b[31m\n", exit_code=4),
    )
    lines = [line.rstrip() for line in text.splitlines()]
    assert [line.split() for line in lines[:4]] == [
        ["kernel", "exit", "code", "seconds", "output"],
        ["5.10.1", "0", "1.5"],
        ["6.1.5", "0", "1.5", "as", "5.10.1"],
        ["6.12.9", "4", "1.5", "differs"],
    ]
    assert lines[4:] == [
        "5.10.1 printed:",
        "  one",
        "  two",
        "",
        "6.12.9, compared with 6.1.5:",
        "  - two",
        "  + three␛[31m",
        "unexplained script-a.sh exit_code: 6.1.5 -> 6.12.9",
        "unexplained script-a.sh lines: 6.1.5 -> 6.12.9",
    ]


def test_the_kernels_log_is_shown_once_for_all_kernels_that_have_it(tmp_path: Path) -> None:
    log = ["nf_conntrack: table full, dropping packet"]
    text = printed(
        tmp_path,
        answered("5.10.1", "one\n", kernel_log=log),
        answered("6.1.5", "one\n", kernel_log=log),
        answered("6.12.9", "one\n"),
    )
    assert f"the kernel's log on 5.10.1, 6.1.5:\n  {log[0]}\n" in text


def test_files_that_differ_are_named_with_the_lines_that_differ(tmp_path: Path) -> None:
    answers = []
    for kernel, text in (("5.10.1", "a\n"), ("6.1.5", "a\nb\n")):
        record, output = answered(kernel, "one\n", files=[f"log: {len(text)}"])
        record = replace(record, evidence=("output.txt", "file-log.txt"))
        answers.append((record, output))
        cell_path(tmp_path, record).mkdir(parents=True)
        (cell_path(tmp_path, record) / "file-log.txt").write_text(text)
    lines = printed(tmp_path, *answers).splitlines()
    assert lines[2].split()[-1] == "differs"
    start = lines.index("files written:")
    assert lines[start : start + 7] == [
        "files written:",
        "  log: 2",
        "",
        "files on 6.1.5, compared with 5.10.1:",
        "  - log: 2",
        "  + log: 4",
        "  + file-log.txt: b",
    ]


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ({"ended": "it printed more than 4 MiB"}, "the script was ended: it printed more than 4 MiB"),
        ({"ended": "it ended the guest"}, "the script switched its guest off or restarted it"),
        ({"ended": "a program is missing: jq"}, "the guests have no jq; bring it along with --push"),
        ({"ended": "by itself", "exit_code": 1}, ""),
    ],
)
def test_a_bad_script_is_told_in_one_message(facts: dict[str, Any], message: str) -> None:
    records = [answered(kernel, "", **facts)[0] for kernel in ("5.10.1", "6.1.5")]
    told = bad_script(records)
    assert told.startswith(message)
    assert bool(told) == bool(message)


def test_what_only_one_kernel_does_is_that_kernels_doing() -> None:
    never = Record("5.10.1", "script-a.sh", {}, Status.TIMEOUT, reason="did not end within 5 s (--timeout)")
    assert bad_script([never]).startswith("the script did not end within 5 s")
    assert bad_script([never, answered("6.1.5", "one\n")[0]]) == ""
