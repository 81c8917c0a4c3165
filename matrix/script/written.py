"""The files that a script wrote in its directory: kept as evidence, and compared."""

from __future__ import annotations

import contextlib
import hashlib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from matrix.results.record import evidence_name
from matrix.script.script import PLACE
from vms.deadline import Deadline
from vms.ssh import Ssh, Unreadable

MOST_FILES = 16
MOST_BYTES = 1 << 20
FILES = "file-"
"""What the names of these files begin with as evidence."""

_MOST_NAMES = 200
_NAME_CHARACTERS = 200
_EVIDENCE_CHARACTERS = 50
# `began` is as old as the script; the time of a change, unlike that of the content, is not a
# script's to set. Python writes __pycache__ beside the modules that it imports.
_LIST = f"""\
cd {PLACE}/work && find . -name __pycache__ -prune -o -type f -cnewer ../began -printf '%s %P\\0' \
| LC_ALL=C sort -z -k 2 | head -z -n {_MOST_NAMES}
"""


@dataclass(frozen=True)
class Written:
    """A file that a script wrote, by its name in the script's directory; `content` is None if it
    was not kept.
    """

    name: str
    size: int
    content: bytes | None = None

    @property
    def text(self) -> str | None:
        """What it holds; None if it was not kept or is no text."""
        if self.content is None or b"\0" in self.content:
            return None
        try:
            return self.content.decode()
        except UnicodeDecodeError:
            return None


def pull_written(ssh: Ssh, deadline: Deadline) -> tuple[Written, ...]:
    """What the script wrote, in the order of names: the content of the first MOST_FILES that have
    no more than MOST_BYTES each, of others the size.
    """
    found = []
    kept = 0
    for line in ssh.run(_LIST, deadline).output.split("\0"):
        size, _, name = line.partition(" ")
        if not re.fullmatch(r"[0-9]{1,15}", size, re.ASCII) or not name:
            continue
        content = None
        if int(size) <= MOST_BYTES and kept < MOST_FILES:
            kept += 1
            with contextlib.suppress(Unreadable):  # gone since, or longer: something goes on writing
                content = ssh.pull(f"{PLACE}/work/{name}", MOST_BYTES, deadline)
        found.append(Written(name, int(size), content))
    return tuple(found)


def as_evidence(written: Iterable[Written]) -> dict[str, bytes]:
    """The contents by names that evidence may have: `file-out.txt` of `out.txt`."""
    found: dict[str, bytes] = {}
    for one in written:
        if one.content is not None:
            found[_free_name(one.name, found)] = one.content
    return found


def compared(written: Iterable[Written], normal: Callable[[str], str]) -> list[str]:
    """What is compared of the files: the name of each, and of text a digest of its normalised
    lines.
    """
    return [f"{one.name[:_NAME_CHARACTERS]}: {_what(one, normal)}" for one in written]


def _what(one: Written, normal: Callable[[str], str]) -> str:
    if one.content is None:
        return f"more than {MOST_BYTES >> 20} MiB" if one.size > MOST_BYTES else "not kept"
    if one.text is None:
        return "no text"
    lines = [normal(line) for line in one.text.splitlines()]
    digest = hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]
    return f"{len(lines)} lines, sha256 {digest}"


def _free_name(name: str, taken: Mapping[str, bytes]) -> str:
    """The name of a file as evidence, none of those that are taken."""
    plain = FILES + re.sub(r"[^a-z0-9._-]", "-", name.lower())[-_EVIDENCE_CHARACTERS:]
    number = 1
    while (free := evidence_name(plain if number == 1 else f"{plain}-{number}")) in taken:
        number += 1
    return free
