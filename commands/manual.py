"""The manual page, made from the tasks: roff with the macros of man(7)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime

from invoke.context import Context
from invoke.parser.argument import Argument
from invoke.parser.context import ParserContext
from invoke.tasks import task

from commands.collection import Tasks, by_name
from commands.examples import EXAMPLES
from commands.shell import data_home, reported
from vms.program import COMMAND

NAME = "conntrack-matrix"
_EXIT_CODES = {
    0: "nothing unexpected",
    1: "a kernel broke an invariant, or changed in a way the ledger does not explain",
    2: "wrong use: a flag, a name, a configuration file",
    3: "the tool itself failed: boot, download, a bug in an experiment",
}
_FILES = {
    "matrix.toml": "the default kernels and experiments, and the directory of your own experiments",
    "matrix.lock": "the exact packages of these kernels, once `lock` wrote them",
    "matrix.baseline.json": "the accepted answers, once `accept` wrote them",
    "results/": "a directory for each run; results/latest/report/index.html is the newest report",
}


@task
@reported
def manual(_context: Context) -> None:
    """Install the manual page for `man conntrack-matrix`."""
    import tasks
    from vms.files import write_whole

    path = data_home() / "man" / "man1" / f"{NAME}.1"
    described = {one.__name__: one.__doc__ or "" for one in map(tasks.__dict__.get, tasks.__all__) if one}
    contexts = by_name(Tasks.from_module(tasks))
    write_whole(path, manual_page(described, contexts).encode())
    print(f"{path}\nread it with: man {path}")


def manual_page(described: Mapping[str, str], contexts: Mapping[str, ParserContext]) -> str:
    """The page for tasks that are described so, each with its flags and examples."""
    from matrix import VERSION

    today = datetime.now(UTC).date().isoformat()
    lines = [
        f'.TH {NAME.upper()} 1 "{today}" "{NAME} {VERSION}" "User Commands"',
        ".SH NAME",
        rf"{_text(NAME)} \- ask real Linux kernels what they do to connections",
        ".SH SYNOPSIS",
        rf"\fB{_text(COMMAND)}\fR \fItask\fR [\fIflags\fR]",
        ".SH DESCRIPTION",
        "Boots real Linux kernels in throw\\-away virtual machines, asks each the same exact questions"
        " about connection tracking, NAT and the firewall paths around them, and shows side by side what"
        " each kernel did, what changed, and which upstream commit explains it.",
        ".SH TASKS",
    ]
    for name, text in described.items():
        lines += _task(name, text, contexts[name])
    lines.append(".SH EXIT STATUS")
    lines += _listed({str(code): meaning for code, meaning in _EXIT_CODES.items()})
    lines.append(".SH FILES")
    lines += _listed(_FILES)
    return "\n".join(lines) + "\n"


def _task(name: str, text: str, context: ParserContext) -> Iterator[str]:
    positional = [argument.name or "" for argument in context.positional_args]
    yield f".SS {_text(' '.join([name, *(word.upper() for word in positional)]))}"
    yield _text(" ".join(text.split()))
    for argument in context.args.values():
        yield from (".TP", _flag(argument), _text(argument.help or ""))
    yield from (".PP", "Examples:", ".PP", ".nf")
    yield from (_text(f"    {COMMAND} {words}") for words in EXAMPLES[name])
    yield ".fi"


def _flag(argument: Argument) -> str:
    if argument.positional:
        return rf"\fI{_text((argument.name or '').upper())}\fR"
    names = sorted(argument.names, key=len)
    flags = ", ".join(f"{'-' if len(name) == 1 else '--'}{name.replace('_', '-')}" for name in names)
    value = r" \fIVALUE\fR" if argument.takes_value else ""
    return rf"\fB{_text(flags)}\fR{value}"


def _listed(meanings: Mapping[str, str]) -> Sequence[str]:
    return [line for word, text in meanings.items() for line in (".TP", rf"\fB{_text(word)}\fR", _text(text))]


def _text(text: str) -> str:
    """The text as roff shows it unchanged: no line of it is a request, no character an escape."""
    escaped = text.replace("\\", r"\e").replace("-", r"\-")
    return rf"\&{escaped}" if escaped.startswith((".", "'")) else escaped
