"""invoke with two changes: usage errors exit 2 (1 means a kernel finding), and some positional
arguments may be left out.
"""

from __future__ import annotations

import inspect
import itertools
import re
import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress

from invoke.exceptions import Exit, ParseError
from invoke.parser.argument import Argument
from invoke.parser.context import ParserContext
from invoke.program import Program

import tasks
from commands.collection import Tasks, by_name
from commands.completion import ASKED, candidates
from commands.examples import EXAMPLES
from commands.shell import discard
from matrix import VERSION
from vms.errors import MatrixError, UsageError
from vms.program import COMMAND, INSTALLED
from vms.suggest import suggestion

OPTIONAL = {"history": "--fact", "bench": "--name"}
"""Tasks whose positional arguments are optional. invoke knows them only as flags: `history FACT`
becomes `history --fact FACT`.
"""


OF_A_CHECKOUT = ("bench", "catalogue", "controls", "docs", "fresh", "reference", "test")
"""Tasks that measure, check or rewrite the project itself, which an installed program does not."""


class Invoke(Program):
    """invoke, with usage errors that exit with 2 and say what to give."""

    def parse_core(self, argv: list[str] | None) -> None:
        """Reads the flags before the tasks."""
        with _usage_errors({}):
            super().parse_core(argv)

    def print_task_help(self, name: str) -> None:
        """Prints how a task is called, what it does, its arguments and flags, and two examples."""
        context = by_name(self.collection)[name]
        print(f"Usage: {COMMAND} {_usage(name, context)}\n")
        print(textwrap.indent(inspect.getdoc(self.collection[name]) or "", self.leading_indent), end="\n\n")
        if described := _described(context):
            self.print_columns(described)
        print("Examples:", *(f"  {COMMAND} {words}" for words in EXAMPLES[name]), "", sep="\n")

    def parse_tasks(self) -> None:
        """Reads the tasks and their flags."""
        tasks = by_name(self.collection)
        with _usage_errors(tasks):
            _refuse_missing_values(self.core.unparsed, tasks)
            super().parse_tasks()
            for context in self.tasks:
                _refuse_empty_values(context, tasks[context.name or ""])


def _usage(name: str, context: ParserContext) -> str:
    """The task's name, and what may follow it."""
    words = [name, *(str(argument.name).upper() for argument in context.positional_args)]
    if flag := OPTIONAL.get(name):
        words.append(f"[{flag.removeprefix('--').upper()}]")
    if context.flags:
        words.append("[flags]")
    if name == "script":
        words.append("[-- arguments]")
    return " ".join(words)


def _described(context: ParserContext) -> list[tuple[str, str | None]]:
    """The task's arguments, then its flags, each with its description."""
    arguments = {context.help_for(f"--{one.name}"): one for one in context.positional_args}
    flags = [described for described in context.help_tuples() if described not in arguments]
    return [*((str(one.name).upper(), one.help) for one in arguments.values()), *flags]


@contextmanager
def _usage_errors(tasks: Mapping[str, ParserContext]) -> Iterator[None]:
    try:
        yield
    except ParseError as error:
        unknown = re.fullmatch("No idea what '(.*)' is!", str(error))
        message = _unknown(unknown[1], tasks, error.context) if unknown else str(error)
        raise Exit(
            f"error: {message}; {COMMAND} --list shows the tasks, {COMMAND} TASK --help its flags",
            code=UsageError.exit_code,
        ) from error


def _unknown(word: str, tasks: Mapping[str, ParserContext], context: ParserContext | None) -> str:
    if INSTALLED and word in OF_A_CHECKOUT:
        return f"{word!r} is a task of `./invoke` in a checkout of the project only"
    if not word.startswith("-"):
        before = f"{context.name} takes no argument {word!r}, and " if context and context.name else ""
        return f"{before}there is no task {word!r}; {suggestion(word, tasks)}"
    flags = [flag for flag in context.flags if flag.startswith("--")] if context else []
    return f"there is no flag {word}; {suggestion(word, flags)}"


def _refuse_missing_values(words: Sequence[str], tasks: Mapping[str, ParserContext]) -> None:
    """Raises ParseError for a flag that needs a value and is followed by another flag or nothing.

    invoke itself ignores such a flag if it can be repeated, as in `matrix -k`.
    """
    flags: Mapping[str, Argument] = {}
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if word in flags and flags[word].takes_value:
            if not rest or rest.pop(0) in flags:
                raise ParseError(f"{word} needs a value: {flags[word].help}")
        elif word in tasks:
            flags = tasks[word].flags


def _refuse_empty_values(given: ParserContext, task: ParserContext) -> None:
    for name, argument in given.args.items():
        values = argument.value if argument.kind is list else [argument.raw_value]
        if any(isinstance(value, str) and not value.strip() for value in values):
            flag = name if argument.positional and argument.kind is not list else f"--{name}"
            raise ParseError(f"{flag} is empty; give {task.args[name].help}")


def with_flags(words: Sequence[str]) -> list[str]:
    """The command line with the flag inserted before each optional positional argument."""
    found: list[str] = []
    flag = ""
    for word in words:
        if word.startswith("-"):
            flag = ""
        elif flag:
            found.append(flag)
        else:
            flag = OPTIONAL.get(word, "")
        found.append(word)
    return found


def with_help_first(words: Sequence[str]) -> list[str]:
    """The command line `TASK ... --help` as invoke reads it for any task: `--help TASK`. Otherwise
    it takes `--help` for an argument that the task requires. After `--` the words are a script's.
    `help TASK` is the same; `help` lists the tasks, and so does a command line without words.
    """
    if not words or words[0] == "help":
        return ["--help", *words[1:2]] if words[1:] else ["--list"]
    ours = [*itertools.takewhile(lambda word: word != "--", words)]
    if "--help" in ours[1:] and not words[0].startswith("-"):
        return ["--help", words[0]]
    return list(words)


def main(words: Sequence[str]) -> None:
    """Runs the tasks that the words name, and exits with their exit code."""
    offered = [getattr(tasks, name) for name in tasks.__all__ if not (INSTALLED and name in OF_A_CHECKOUT)]
    namespace = Tasks(*offered)
    if words and words[0] == ASKED:
        with suppress(MatrixError):  # without package lists, for example, no kernel can be offered
            print("\n".join(candidates(with_flags(words[1:]), by_name(namespace))))
        return
    program = Invoke(name="conntrack-matrix", binary=COMMAND, version=VERSION, namespace=namespace)
    try:
        try:
            program.run([COMMAND, *with_flags(with_help_first(words))])
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        discard(sys.stdout)
        sys.exit(0)


if __name__ == "__main__":
    main(sys.argv[1:])
