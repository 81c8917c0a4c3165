"""The commands of ours that the documentation names."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.support.project import ROOT

PAGES = tuple(
    Path(name)
    for name in subprocess.run(
        ["git", "ls-files", "*.md", ":!tests"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
)
"""Every page of the documentation, by its path in the checkout."""

NO_COMMANDS = {
    "2026-11-26: 1 unexplained change, 1 explained change": "the subject of a message about a night",
    "2026-11-25: 4 explained changes": "the same",
}
"""What looks like a command and is none."""

_FENCE = re.compile(r"^ *```\w*\n(.*?)^ *```", re.DOTALL | re.MULTILINE)
_INLINE = re.compile(r"`([^`]+)`")
_PROGRAM = re.compile(r"(?:^|(?<=[\s(]))(?:\./invoke|conntrack-matrix)(?= )")
_END = re.compile(r"\s(?:[0-9]?>|[|&;#])|[;)]")
"""Where a command on a line ends: at a redirection, another command, a comment."""


@dataclass(frozen=True)
class Documented:
    """A command on a page, as words after the program."""

    page: str
    words: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.page}: {' '.join(self.words)}"


def documented(page: Path) -> Iterator[Documented]:
    """Every command of ours in the code of a page, blocks and spans."""
    text = (ROOT / page).read_text()
    blocks = [block.replace("\\\n", " ") for block in _FENCE.findall(text)]
    spans = [" ".join(span.split()) for span in _INLINE.findall(_FENCE.sub("", text))]
    for line in (line for part in (*blocks, *spans) for line in part.splitlines()):
        for found in _PROGRAM.finditer(line):
            yield Documented(str(page), _words(line[found.end() :]))


def _words(line: str) -> tuple[str, ...]:
    words = shlex.split(_END.split(line)[0])
    more = len(words) > 1 and words[-1] == "..." and not words[-2].startswith("-")
    return tuple(words[:-1] if more else words)  # what else may follow is left to the reader
