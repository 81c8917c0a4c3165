"""The result of one cell: its status, its facts, and the names of its evidence files."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeVar

from guest.catalogue import SPLATS
from matrix.plan.plan import variant_name
from vms.errors import UsageError
from vms.splats import MOST_SPLATS, Splat
from vms.text import MOST_CHARACTERS, shown

SCHEMA = 1
"""Version of the JSON form of records and manifests.

Raised when a reader of the old form would misread the new one.
"""

ANSWERED = "answered"
"""The value of a cell as a whole that has facts. A cell without facts has its status instead."""

FactValue = bool | int | str | list[str] | dict[str, int]
"""The types of a fact. A measured duration is reported as a class (`str`) or a count."""

FACT_CHARACTERS = 4_000
FACT_ITEMS = 1_000
"""A text in a fact, and a list or dict, of a record is no longer than this."""
LARGEST_INTEGER = 1 << 64
"""Numbers in facts are smaller; they become floating-point numbers in some exports."""
MOST_ITEMS = 100
"""How many items of a list or dict a report shows."""

_REASON_CHARACTERS = 20_000
_NAME_CHARACTERS = 200
_EVIDENCE = re.compile(r"[a-z0-9][a-z0-9._-]{0,70}\.(txt|pcap|json|log)")

T = TypeVar("T")


class BadRecord(UsageError, ValueError):
    """A record names a place outside its run, or has a number that no fact has."""


def evidence_name(name: str) -> str:
    """The name of a file of evidence, with `.txt` added unless it ends in .txt, .pcap, .json or
    .log: a browser shows these as text or not at all, and runs no script that a guest put there.
    """
    return name if _EVIDENCE.fullmatch(name) else f"{name}.txt"


class Status(StrEnum):
    """How a cell ended.

    `fail`: the kernel broke an invariant. `error`: the tool failed (boot, SSH, download, a bug in
    an experiment); such a cell is run again and never compared. `unsupported`: the kernel lacks
    what the experiment needs, and `reason` holds the kernel's message. `unstable`: repeats of the
    cell disagreed. `crash`: the guest's kernel panicked or oopsed. `timeout`: the experiment did
    not end in time.
    """

    PASS = "pass"
    FAIL = "fail"
    UNSUPPORTED = "unsupported"
    UNSTABLE = "unstable"
    CRASH = "crash"
    TIMEOUT = "timeout"
    ERROR = "error"

    @property
    def is_lasting(self) -> bool:
        """Whether a repeat gives the same. The other statuses may be due to the host, or to a
        race.
        """
        return self in (Status.PASS, Status.FAIL, Status.UNSUPPORTED)

    @property
    def is_failure(self) -> bool:
        """Whether the status is `fail`, `crash` or `timeout`: the kernel is responsible."""
        return self in (Status.FAIL, Status.CRASH, Status.TIMEOUT)

    @property
    def is_unexpected(self) -> bool:
        """Whether the user has to look at the cell: a failure, or `unstable`, which may be one."""
        return self.is_failure or self is Status.UNSTABLE


_MOST_LEFT = 100
_LEFT_CHARACTERS = 1000


@dataclass(frozen=True)
class Asked:
    """Which guest a cell was asked in.

    `guest` tells the guests of a run apart. The cell was the `place`th that it was asked, and
    `after` names the one before, empty for the first, which had a fresh clone. `left` is what the
    cell left behind, a line each, so that the guest was asked nothing more.
    """

    guest: str = ""
    place: int = 1
    after: str = ""
    left: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Bounds and cleans the texts, as `Record` does: guests wrote them."""
        object.__setattr__(self, "guest", shown(self.guest, _NAME_CHARACTERS))
        object.__setattr__(self, "after", shown(self.after, _NAME_CHARACTERS))
        left = tuple(shown(line, _LEFT_CHARACTERS) for line in self.left[:_MOST_LEFT])
        object.__setattr__(self, "left", left)

    @property
    def alone(self) -> bool:
        """Whether nothing was asked in the same guest before."""
        return self.place == 1


ALONE = Asked()
"""Of a cell that no other was asked before in the same guest."""


@dataclass(frozen=True)
class Leak:
    """Another answer that a cell had in a guest that had been asked other cells before, the last of
    them `after`; in guests of its own it had the answer of its record.

    This is a defect of the experiment `after`, or of the tool, not of the kernel.
    """

    after: str
    answer: str

    def __post_init__(self) -> None:
        """Bounds and cleans the texts, as `Record` does: guests wrote them."""
        object.__setattr__(self, "after", shown(self.after, _NAME_CHARACTERS))
        object.__setattr__(self, "answer", shown(self.answer, _LEFT_CHARACTERS))


@dataclass(frozen=True)
class Record:
    """The result of one cell.

    `variant` maps each parameter to its value, in the order of the experiment's declaration.
    `evidence` names files in the cell's directory. `attempts` counts how often the cell was run,
    `asked` tells in which guest the answer was given, `leak` that another guest had another answer.
    `splats` are the errors that the kernel reported in its log. The fingerprints of those that only
    the kernel can have caused are also a fact, `splats`, if there are facts. `key` is a digest of
    all that determines the answer, empty if that is not known. `reused` names the earlier run that
    gave the answer, if its own run did not.

    Texts are bounded, and control and invisible characters in them are written as ␀ or <U+200B>.
    """

    kernel: str
    experiment: str
    variant: dict[str, str]
    status: Status
    facts: dict[str, FactValue] = field(default_factory=dict)
    reason: str = ""
    seconds: float = 0.0
    evidence: tuple[str, ...] = ()
    attempts: int = 1
    splats: tuple[Splat, ...] = ()
    key: str = ""
    reused: str = ""
    asked: Asked = ALONE
    leak: Leak | None = None
    schema: int = SCHEMA

    def __post_init__(self) -> None:
        """Bounds and cleans the texts: they come from guests, consoles and other people's run
        directories. Raises BadRecord if a name would lead out of the run or a number is too large.
        """
        for name in (self.kernel, self.experiment, variant_name(self.variant)):
            if name.startswith("/") or ".." in name.split("/"):
                raise BadRecord(f"a record cannot be of {shown(name, 100)!r}")
        for name, fact in self.facts.items():
            numbers = fact.values() if isinstance(fact, dict) else [fact] if isinstance(fact, int) else []
            if any(abs(number) >= LARGEST_INTEGER for number in numbers):
                raise BadRecord(f"the fact {shown(name, 100)!r} has a number that is too large for a fact")
        clean = {
            "kernel": shown(self.kernel, _NAME_CHARACTERS),
            "experiment": shown(self.experiment, _NAME_CHARACTERS),
            "variant": {
                shown(name, _NAME_CHARACTERS): shown(value, _NAME_CHARACTERS)
                for name, value in self.variant.items()
            },
            "facts": {
                shown(name, _NAME_CHARACTERS): shown_value(value, FACT_CHARACTERS, FACT_ITEMS)
                for name, value in self.facts.items()
            },
            "reason": shown(self.reason, _REASON_CHARACTERS),
            "evidence": tuple(name for name in self.evidence if _EVIDENCE.fullmatch(name)),
            "splats": self.splats[:MOST_SPLATS],
            "key": shown(self.key, _NAME_CHARACTERS),
            "reused": shown(self.reused, _NAME_CHARACTERS),
        }
        for field_name, value in clean.items():
            object.__setattr__(self, field_name, value)

    @property
    def compared_splats(self) -> list[str]:
        """The fingerprints of the splats that are compared between kernels, sorted."""
        return sorted({splat.fingerprint for splat in self.splats if splat.kind.only_kernel})

    @property
    def declared(self) -> dict[str, FactValue]:
        """The facts that the experiment declares."""
        return {name: value for name, value in self.facts.items() if name != SPLATS}

    @property
    def question(self) -> tuple[str, str]:
        """Names what was asked, whatever the kernel: experiment and variant."""
        return self.experiment, variant_name(self.variant)

    def same_answer(self, other: Record, *, reason: bool) -> bool:
        """Whether status, facts and compared splats are equal and, if `reason` is set, the reasons
        too.
        """
        return (self.status, self.facts, self.compared_splats) == (
            other.status,
            other.facts,
            other.compared_splats,
        ) and not (reason and self.reason != other.reason)


def shown_value(value: FactValue, characters: int = MOST_CHARACTERS, items: int = MOST_ITEMS) -> FactValue:
    """The value with every text in it through the gate `shown`, and with at most `items` items, the
    last of which says how many were cut.
    """
    if isinstance(value, str):
        return shown(value, characters)
    if isinstance(value, list):
        kept, left = _kept(value, items)
        return [shown(item, characters) for item in kept] + ([f"… {left:,} more"] if left else [])
    if isinstance(value, dict):
        pairs, left = _kept(list(value.items()), items)
        return {shown(key, characters): number for key, number in pairs} | ({"… more": left} if left else {})
    return value


def _kept(items: list[T], most: int) -> tuple[list[T], int]:
    """The items that have room, and how many have none."""
    return (items, 0) if len(items) <= most else (items[: most - 1], len(items) - most + 1)
