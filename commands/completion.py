"""Completion of command lines: what may follow the words that were typed, and the scripts that ask
for it in bash, zsh and fish.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from invoke.context import Context
from invoke.parser.context import ParserContext
from invoke.tasks import task

from commands.shell import RESULTS, ROOT, reported
from vms.program import COMMAND

ASKED = "--complete"
"""The first word of a command line by which a shell asks; the words typed so far follow."""
_CORE = ("--help", "--list", "--version")
_PLAIN = re.compile(r"[\w.+@-]+")  # what no shell expands or splits

_BASH = """\
_conntrack_matrix() {{
    mapfile -t COMPREPLY < <({command} {asked} "${{COMP_WORDS[@]:1:COMP_CWORD}}" 2>/dev/null)
}}
complete -o default -F _conntrack_matrix {command}
"""
_ZSH = """\
#compdef {command}
local -a found
found=("${{(@f)$({command} {asked} "${{(@)words[2,CURRENT]}}" 2>/dev/null)}}")
compadd -a found
"""
_FISH = """\
complete -c {command} -a '({command} {asked} (commandline -opc)[2..-1] "$(commandline -ct)" 2>/dev/null)'
"""
_SCRIPTS = {"bash": _BASH, "fish": _FISH, "zsh": _ZSH}


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
    write_whole(path, _SCRIPTS[shell].format(command=COMMAND, asked=ASKED).encode())
    print(path)
    if shell == "zsh":
        print(f"zsh looks there if .zshrc says, before compinit: fpath=({path.parent} $fpath)")
    print("it works in new shells")


def _place(shell: str) -> Path:
    """The file from which the shell loads the completion of our command by itself."""
    home = Path.home()
    name = Path(COMMAND).name
    data = Path(os.environ.get("XDG_DATA_HOME") or home / ".local" / "share")
    if shell == "bash":
        return data / "bash-completion" / "completions" / name
    if shell == "fish":
        return (
            Path(os.environ.get("XDG_CONFIG_HOME") or home / ".config")
            / "fish"
            / "completions"
            / f"{name}.fish"
        )
    return data / "zsh" / "site-functions" / f"_{name}"


def candidates(words: Sequence[str], tasks: Mapping[str, ParserContext]) -> list[str]:
    """What the last word may become, which may be empty or the beginning of one.

    Only names that a shell takes as they are: run directories may have any.
    """
    *before, last = words or [""]
    found = sorted({word for word in _possible(before, last, tasks) if word.startswith(last)})
    return [word for word in found if _PLAIN.fullmatch(word)]


def _possible(before: Sequence[str], last: str, tasks: Mapping[str, ParserContext]) -> Iterable[str]:
    name = next((word for word in before if word in tasks), "")
    if not name:
        return _CORE if last.startswith("-") else tasks
    flags = tasks[name].flags
    if before[-1] in flags and flags[before[-1]].takes_value:
        return _values(flags[before[-1]].name or "")
    if last.startswith("-"):
        return [flag for flag in flags if flag.startswith("--")]
    return [value for argument in tasks[name].positional_args for value in _values(argument.name or "")]


def _values(argument: str) -> Iterable[str]:
    """The values that an argument of this name may have; none if they cannot be listed."""
    if argument in ("kernel", "before", "after", "older", "newer"):
        return _kernels()
    if argument == "experiment":
        from matrix.plan.project import Project

        return Project.open(ROOT, offline=True).experiments
    if argument == "run":
        return [path.parent.name for path in RESULTS.glob("*/manifest.json")]
    if argument == "accel":
        from vms.accel import REQUESTS

        return REQUESTS
    return _SCRIPTS if argument == "shell" else ()


def _kernels() -> Iterable[str]:
    """Series and releases of the package lists in the cache; no archive is asked."""
    from matrix.plan.project import Project

    known = Project.open(ROOT, offline=True).builds.kernels
    return {"newest"} | {name for kernel in known for name in (kernel.series, kernel.release)}
