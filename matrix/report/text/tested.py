"""Prints what each program of a suite said on each kernel."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from matrix.analysis.analysis import Analysis
from matrix.report.text.terminal import STYLES, headline, print_splats
from matrix.report.words import counted
from matrix.results.record import Record, Status
from matrix.script.known import Known
from matrix.script.verdicts import Result
from vms.text import shown

_MOST_NAMES = 20


def print_suite(analysis: Analysis, known: Known, console: Console) -> None:
    """Prints a line for each program, with its verdict on each kernel and the number of its parts,
    then for each program why it was not run, what failed, what is known of why, and where kernels
    differ.
    """
    builds = {entry.name: entry for entry in analysis.table.kernels}
    kernels = list(builds)
    programs: dict[str, dict[str, Record]] = {}
    for record in analysis.records:
        programs.setdefault(record.experiment, {})[record.kernel] = record
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for column in ("program", *kernels):
        table.add_column(column, overflow="fold")
    for program, records in programs.items():
        table.add_row(Text(_name(program)), *(_verdict(records.get(kernel)) for kernel in kernels))
    console.print(table)
    for program, records in programs.items():
        why = {
            kernel: known.why(_name(program), builds[kernel])
            for kernel, record in records.items()
            if record.facts and _word(record) == Result.FAIL
        }
        for line in _notes(records, why):
            console.print(Text(f"{_name(program)}: {line}"), soft_wrap=True)
    for kernel in kernels:
        counts = Counter(_word(records[kernel]) for records in programs.values() if kernel in records)
        said = ", ".join(f"{number} {word}" for word, number in sorted(counts.items()))
        console.print(Text(f"{kernel}: {counted(sum(counts.values()), 'program')}: {said}"), soft_wrap=True)
    print_splats(analysis.table, console)


def _name(experiment: str) -> str:
    return experiment.removeprefix("suite-")


def _word(record: Record) -> str:
    return str(record.facts["verdict"]) if record.facts else record.status.value


def _verdict(record: Record | None) -> Text:
    if record is None:
        return Text("")
    parts = sum(len(names) for names in _parts(record).values())
    failed = len(_parts(record)["fail"])
    word = _word(record)
    if parts:
        word += f" ({failed} of {parts} failed)" if failed else f" ({parts})"
    return Text(word, STYLES[record.status] if record.status is not Status.PASS else "")


def _parts(record: Record) -> Mapping[str, Sequence[str]]:
    return {
        name: value if isinstance(value := record.facts.get(name), list) else []
        for name in ("ok", "fail", "skip", "xfail")
    }


def _notes(records: Mapping[str, Record], why: Mapping[str, Sequence[str]]) -> list[str]:
    """What is to be said of one program, each thing once with the kernels that it holds for. `why`
    has what is known of failures.
    """
    said: dict[str, list[str]] = {}
    for kernel, record in records.items():
        if not record.facts:
            said.setdefault(f"{record.status}: {headline(record.reason)}", []).append(kernel)
        for result in ("fail", "skip", "xfail"):
            for name in _parts(record)[result][:_MOST_NAMES]:
                said.setdefault(f"{result}: {shown(name)}", []).append(kernel)
    for kernel, reasons in why.items():
        for reason in reasons:
            said.setdefault(reason, []).append(kernel)
    every = len(records)
    return [
        line if len(kernels) == every else f"{line} (on {', '.join(kernels)})"
        for line, kernels in said.items()
    ]
