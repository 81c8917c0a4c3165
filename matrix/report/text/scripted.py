"""Prints what a script did on each kernel, and the lines by which kernels differ."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from matrix.analysis.analysis import Analysis
from matrix.report.text.terminal import STYLES, headline, print_splats, print_unexplained
from matrix.results.directory import cell_path
from matrix.results.record import Record
from matrix.script.guests import BY_ITSELF, FLOOD, MISSING, POWER
from matrix.script.normal import IGNORED, normalised
from matrix.script.script import Script
from matrix.script.written import FILES
from vms.text import shown

_MOST_LINES = 200
_MOST_BYTES = 1 << 20
_LINE_CHARACTERS = 500
_OUTPUT = ("output.txt", "errors.txt")


@dataclass(frozen=True)
class Output:
    """The raw lines that a script printed on one kernel, and the same lines normalised."""

    raw: Sequence[str]
    normal: Sequence[str]

    def only_here(self, other: Output) -> list[str]:
        """The raw lines whose normalised form the other has less often, in order."""
        left = Counter(self.normal) - Counter(other.normal)
        found = []
        for raw, normal in zip(self.raw, self.normal, strict=True):
            if left[normal] > 0:
                left[normal] -= 1
                if normal != IGNORED:
                    found.append(raw)
        return found


def print_script(analysis: Analysis, run: Path, script: Script, console: Console) -> None:
    """Prints a line for each kernel, the raw output of the first, and for each kernel whose
    normalised lines differ from those of the one before it the raw lines on both sides.
    """
    releases = {entry.name: entry.uname for entry in analysis.table.kernels}
    records = sorted(analysis.records, key=lambda record: list(releases).index(record.kernel))
    outputs = {
        record.kernel: _read(record, run, script, releases[record.kernel], _OUTPUT) for record in records
    }
    _print_kernels(records, console)
    _print_outputs(outputs, console)
    _print_files(records, run, script, releases, console)
    _print_logs(records, console)
    print_splats(analysis.table, console)
    print_unexplained(analysis, console)


def bad_script(records: Sequence[Record]) -> str:
    """Why the script could be judged on no kernel, in one message: it never ended, flooded its
    output, ended its guest or needs a program that guests lack. Empty unless all kernels agree.
    """
    found = {_bad(record) for record in records}
    return found.pop() if len(found) == 1 else ""


def _bad(record: Record) -> str:
    ended = str(record.facts.get("ended", ""))
    if record.status == "timeout":
        return f"the script {record.reason}; give it more time with --timeout SECONDS"
    if ended == FLOOD:
        return f"the script was ended: {ended}"
    if ended == POWER:
        return "the script switched its guest off or restarted it, so there is no answer"
    if ended.startswith(MISSING):
        program = ended.removeprefix(MISSING)
        return f"the guests have no {program}; bring it along with --push, or do without it"
    return ""


def _print_kernels(records: Sequence[Record], console: Console) -> None:
    table = RichTable(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for column in ("kernel", "exit code", "seconds", "output"):
        table.add_column(column, justify="right" if column in ("exit code", "seconds") else "left")
    groups: dict[str, str] = {}
    for record in records:
        code = str(record.facts.get("exit_code", "")) if record.facts.get("exit_code") != -1 else ""
        same = groups.setdefault(str(_printed(record)), record.kernel)
        words = [] if record.facts else [f"{record.status}: {headline(record.reason)}"]
        if record.facts and record.facts["ended"] != BY_ITSELF:
            words.append(str(record.facts["ended"]))
        if record.facts and record is not records[0]:
            words.append(f"as {same}" if same != record.kernel else "differs")
        style = STYLES[record.status] if not record.facts else ""
        table.add_row(record.kernel, code, f"{record.seconds:.1f}", Text("; ".join(words), style))
    console.print(table)


def _printed(record: Record) -> list[list[tuple[str, int]]]:
    """The lines that are compared, in an order that does not depend on that of the output."""
    return [
        sorted(part.items())
        for name in ("lines", "errors")
        if isinstance(part := record.facts.get(name), dict)
    ] + [[(name, 1) for name in _files(record)]]


def _files(record: Record) -> list[str]:
    """The files that the script wrote, as they are compared."""
    files = record.facts.get("files")
    return files if isinstance(files, list) else []


def _print_outputs(outputs: Mapping[str, Output], console: Console) -> None:
    before: tuple[str, Output] | None = None
    for kernel, output in outputs.items():
        if before is None:
            _print_lines(f"{kernel} printed:" if output.raw else "", "", output.raw, console)
        else:
            less, more = before[1].only_here(output), output.only_here(before[1])
            if less or more:
                console.print(Text(f"\n{kernel}, compared with {before[0]}:", "bold"))
            _print_lines("", "- ", less, console)
            _print_lines("", "+ ", more, console)
        before = kernel, output


def _print_files(
    records: Sequence[Record], run: Path, script: Script, releases: Mapping[str, str], console: Console
) -> None:
    """Prints which files the first kernel's script wrote, and for each kernel where that is not so
    which are others, with the lines that differ.
    """
    wrote = [record for record in records if record.facts]
    if wrote:
        _print_lines("\nfiles written:" if _files(wrote[0]) else "", "", _files(wrote[0]), console)
    for before, record in itertools.pairwise(wrote):
        if _files(before) == _files(record):
            continue
        console.print(Text(f"\nfiles on {record.kernel}, compared with {before.kernel}:", "bold"))
        _print_lines("", "- ", [name for name in _files(before) if name not in _files(record)], console)
        _print_lines("", "+ ", [name for name in _files(record) if name not in _files(before)], console)
        for name in sorted({*before.evidence} & {*record.evidence}):
            if name.startswith(FILES):
                old, new = (
                    _read(one, run, script, releases[one.kernel], (name,)) for one in (before, record)
                )
                _print_lines("", f"- {name}: ", old.only_here(new), console)
                _print_lines("", f"+ {name}: ", new.only_here(old), console)


def _print_logs(records: Sequence[Record], console: Console) -> None:
    logs: dict[tuple[str, ...], list[str]] = {}
    for record in records:
        logged = record.facts.get("kernel_log")
        if isinstance(logged, list) and logged:
            logs.setdefault(tuple(logged), []).append(record.kernel)
    for lines, kernels in logs.items():
        _print_lines(f"\nthe kernel's log on {', '.join(kernels)}:", "", lines, console)


def _print_lines(heading: str, before: str, lines: Sequence[str], console: Console) -> None:
    if heading:
        console.print(Text(heading, "bold"), soft_wrap=True)
    for line in lines[:_MOST_LINES]:
        console.print(Text(f"  {before}{shown(line, _LINE_CHARACTERS)}"), soft_wrap=True)
    if len(lines) > _MOST_LINES:
        console.print(Text(f"  … {len(lines) - _MOST_LINES:,} more lines", "dim"))


def _read(record: Record, run: Path, script: Script, release: str, names: Sequence[str]) -> Output:
    """The lines of these files of evidence of one kernel, as far as there are such."""
    raw: list[str] = []
    for name in names:
        path = cell_path(run, record) / name
        if name in record.evidence and path.is_file():
            with path.open("rb") as file:
                raw += file.read(_MOST_BYTES).decode(errors="replace").splitlines()
    return Output(raw, [normalised(line, release, script.ignored) for line in raw])
