"""Completion of command lines: what may follow the words that were typed, and the scripts that ask
for it in bash, zsh and fish.

Pressing Tab runs no code of the directory that the user is in: own experiments are read, not
imported, and a checkout's script starts that checkout's `invoke` only.
"""

from __future__ import annotations

import ast
import os
import re
import shlex
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from invoke.context import Context
from invoke.parser.context import ParserContext
from invoke.tasks import task

from commands.shell import RESULTS, ROOT, data_home, reported
from vms.program import CODE, COMMAND, INSTALLED

ASKED = "--complete"
"""The first word of a command line by which a shell asks; the words typed so far follow."""
_CORE = ("--help", "--list", "--version")
_PLAIN = re.compile(r"[\w.+@-]+")  # what no shell expands or splits
_MARK = "# Completion of conntrack-matrix; `completion` writes this file."
_MOST_CHARACTERS = 1 << 20  # of an own experiment's file

_BASH = """\
{mark}
{function}() {{
    COMPREPLY=()
    [[ $(type -P -- "$1") -ef {program} ]] || return
    mapfile -t COMPREPLY < <({program} {asked} "${{COMP_WORDS[@]:1:COMP_CWORD}}" 2>/dev/null)
}}
complete -o default -F {function} {name} ./{name} {program}
"""
_ZSH = """\
#compdef {name}
{mark}
[[ ${{~words[1]}} -ef {program} || ${{commands[$words[1]]}} -ef {program} ]] || return 1
local -a found
found=(${{(f)"$({program} {asked} "${{(@)words[2,CURRENT]}}" 2>/dev/null)"}})
(( $#found )) && compadd -a found || _files
"""
_FISH = """\
{mark}
function {function}
    set -l typed (commandline -opc)
    test "$(realpath -- (type -p -- $typed[1]) 2>/dev/null)" = "$(realpath -- {program})"; or return
    {program} {asked} $typed[2..-1] "$(commandline -ct)" 2>/dev/null
end
complete -c {name} -a '({function})'
"""
_SCRIPTS = {"bash": _BASH, "fish": _FISH, "zsh": _ZSH}
_LOADED = {
    "bash": "new shells load it if Debian's package bash-completion is set up, or ~/.bashrc has: . {path}",
    "fish": "new shells load it",
    "zsh": "new shells load it if ~/.zshrc has, before compinit: fpath=({directory} $fpath)",
}


@task(positional=["shell"], help={"shell": "bash, zsh or fish"})
@reported
def completion(_context: Context, shell: str) -> None:
    """Install completion of tasks, flags, kernels, experiments and runs for your shell."""
    from vms.errors import UsageError
    from vms.files import write_whole
    from vms.suggest import suggestion

    if shell not in _SCRIPTS:
        raise UsageError(f"there is no completion for {shell!r}; {suggestion(shell, _SCRIPTS)}")
    path = _place(shell)
    if path.exists() and _MARK not in path.read_text(errors="replace"):
        raise UsageError(f"{path} completes another program's command lines; move it away first")
    write_whole(path, _script(shell, _program()).encode())
    print(path)
    print(_LOADED[shell].format(path=shlex.quote(str(path)), directory=shlex.quote(str(path.parent))))


def _program() -> Path:
    """The program that a shell asks, whose command lines alone are completed."""
    return Path(sys.argv[0]).absolute() if INSTALLED else CODE / "invoke"


def _script(shell: str, program: Path) -> str:
    """The text that makes the shell complete the program's command lines."""
    name = program.name
    return _SCRIPTS[shell].format(
        mark=_MARK,
        function=f"_complete_{re.sub('[^a-z]', '_', name)}",
        name=name,
        program=shlex.quote(str(program)),
        asked=ASKED,
    )


def _place(shell: str) -> Path:
    """The file from which the shell loads the completion of our command."""
    name = Path(COMMAND).name
    data = data_home()
    if shell == "bash":
        return data / "bash-completion" / "completions" / name
    if shell == "fish":
        settings = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
        # From "completions" fish loads only what completes a program of $PATH, not `./invoke`.
        return settings / "fish" / "conf.d" / f"{name}.fish"
    return data / "zsh" / "site-functions" / f"_{name}"


def candidates(words: Sequence[str], tasks: Mapping[str, ParserContext]) -> list[str]:
    """What the last word may become, which may be empty or the beginning of one.

    Only names that a shell takes as they are: run directories may have any.
    """
    *before, last = words or [""]
    # bash splits words at `=`, zsh and fish do not.
    before, last = [word for word in before if word != "="], "" if last == "=" else last
    flag, joined, value = last.partition("=")
    if joined:
        found = candidates([*before, flag, value], tasks)
        return [f"{flag}={name}" for name in found]
    names = {word for word in _possible(before, last, tasks) if word.startswith(last)}
    return sorted(name for name in names if _PLAIN.fullmatch(name))


def _possible(before: Sequence[str], last: str, tasks: Mapping[str, ParserContext]) -> Iterable[str]:
    name = next((word for word in before if word in tasks), "")
    if not name:
        return _CORE if last.startswith("-") else tasks
    if "--" in before:  # what follows is a script's
        return ()
    flags = tasks[name].flags
    if before[-1] in flags and flags[before[-1]].takes_value:
        return _values(name, flags[before[-1]].name or "")
    if last.startswith("-"):
        return ["--help", *(flag for flag in flags if flag.startswith("--"))]
    return [value for argument in tasks[name].positional_args for value in _values(name, argument.name or "")]


def _values(task: str, argument: str) -> Iterable[str]:
    """The values that a task's argument of this name may have; none if they cannot be listed."""
    if (task, argument) == ("bisect", "fact"):  # written in another way, which has characters of shells
        return ()
    return _VALUES[argument]() if argument in _VALUES else ()


def _kernels() -> Iterable[str]:
    """Series and releases of the package lists in the cache; no archive is asked."""
    from matrix.plan.project import Project

    known = Project.open(ROOT, offline=True).builds.kernels
    return {"newest"} | {name for kernel in known for name in (kernel.series, kernel.release)}


def _runs() -> Iterable[str]:
    return [path.parent.name for path in RESULTS.glob("*/manifest.json")]


def _kernels_and_runs() -> Iterable[str]:
    return [*_kernels(), *_runs()]


def _experiments() -> Iterator[str]:
    """The project's experiments, and the names of the user's own as their files declare them."""
    from matrix.plan.catalogue import read_catalogue
    from matrix.plan.project import Project

    yield from read_catalogue(None)
    own = Project.open(ROOT, offline=True).own
    for file in sorted(own.glob("*.py")) if own else ():
        try:
            with file.open(encoding="utf-8") as opened:
                tree = ast.parse(opened.read(_MOST_CHARACTERS))
        except (OSError, ValueError, SyntaxError):
            continue
        for node in tree.body:
            if isinstance(node, ast.FunctionDef) and node.decorator_list:
                yield node.name.replace("_", "-")


def _facts() -> Iterable[str]:
    from matrix.plan.catalogue import read_catalogue

    known = read_catalogue(None).values()
    return [f"{experiment.name}.{fact.name}" for experiment in known for fact in experiment.facts]


def _backends() -> Iterable[str]:
    from matrix.run.virtme import QEMU, VIRTME

    return QEMU, VIRTME


def _accelerators() -> Iterable[str]:
    from vms.accel import REQUESTS

    return REQUESTS


def _forms() -> Iterable[str]:
    from matrix.report.export.export import FORMS

    return FORMS


def _topologies() -> Iterable[str]:
    from matrix.script.topology import TOPOLOGIES

    return TOPOLOGIES


def _measurements() -> Iterable[str]:
    from bench.figure import names

    return names()


def _tests() -> Iterable[str]:
    from commands.project import TESTS

    return TESTS


_VALUES: Mapping[str, Callable[[], Iterable[str]]] = {
    "accel": _accelerators,
    "backend": _backends,
    "after": _kernels_and_runs,
    "before": _kernels_and_runs,
    "experiment": _experiments,
    "fact": _facts,
    "form": _forms,
    "kernel": _kernels,
    "lab": _topologies,
    "name": _measurements,
    "new": _kernels,
    "newer": _kernels,
    "old": _kernels,
    "older": _kernels,
    "only": _tests,
    "run": _runs,
    "shell": lambda: _SCRIPTS,
}
