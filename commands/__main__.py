"""The real `invoke`, two habits changed: wrong use ends with 2, as 1 is a kernel's, and some
positional arguments may be left out.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from invoke import __version__
from invoke.exceptions import Exit, ParseError
from invoke.program import Program

from vms.errors import UsageError

OPTIONAL = {"history": "--fact", "bench": "--name"}
"""The tasks whose positional arguments may be left out, which invoke knows only as flags: `history
FACT` is `history --fact FACT`.
"""


class Invoke(Program):
    """invoke, for which a command line that it cannot read is wrong use."""

    def parse_core(self, argv: list[str] | None) -> None:
        """Reads the flags before the tasks."""
        with _wrong_use():
            super().parse_core(argv)

    def parse_tasks(self) -> None:
        """Reads the tasks and their flags."""
        with _wrong_use():
            super().parse_tasks()


@contextmanager
def _wrong_use() -> Iterator[None]:
    try:
        yield
    except ParseError as error:
        raise Exit(
            f"error: {error}; ./invoke --list shows the tasks, ./invoke TASK --help its flags",
            code=UsageError.exit_code,
        ) from error


def with_flags(words: Sequence[str]) -> list[str]:
    """The command line with the flag before each positional argument that may be left out."""
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


if __name__ == "__main__":
    Invoke(name="Invoke", binary="./invoke", version=__version__).run(
        [sys.argv[0], *with_flags(sys.argv[1:])]
    )
