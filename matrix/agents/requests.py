"""What a program may ask, and the bounds of each argument. The docstrings are the descriptions that
the program reads.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

_CHARACTERS = 200

Text = Annotated[str, Meta(min_length=1, max_length=_CHARACTERS)]
Choice = Annotated[str, Meta(max_length=_CHARACTERS)]
Kernel = Annotated[Text, Meta(description="a kernel with answers: 6.12, 6.12.118 or 6.12.118-1")]
Offset = Annotated[int, Meta(ge=0, le=1_000_000, description="how many items to leave out")]
Limit = Annotated[int, Meta(ge=1, le=100, description="how many items to answer at most")]


class Request(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The arguments of a tool."""


class Kernels(Request, frozen=True):
    """The kernels of which runs on this machine have answers, oldest first, or those that can be
    asked.
    """

    available: Annotated[
        bool, Meta(description="list the newest kernel of each series that `ask` can boot instead")
    ] = False
    offset: Offset = 0
    limit: Limit = 20


class Experiments(Request, frozen=True):
    """The questions that kernels are asked, by name. With one exact name also its facts with their
    meaning and its variants.
    """

    search: Annotated[Choice, Meta(description="a word of the name, the topic or the question")] = ""
    offset: Offset = 0
    limit: Limit = 20


class Explain(Request, frozen=True):
    """What every kernel answered to one experiment, where neighbouring kernels differ, and which
    upstream commit explains each change.
    """

    experiment: Annotated[Text, Meta(description="its exact name")]
    fact: Annotated[Choice, Meta(description="only this fact")] = ""
    offset: Offset = 0
    limit: Limit = 5


class Compare(Request, frozen=True):
    """The facts that differ between two kernels, two runs, or one kernel in two runs, with the
    ledger's verdict on each.
    """

    before: Annotated[Text, Meta(description="a kernel, a run under results/, or RUN:KERNEL")]
    after: Annotated[Text, Meta(description="the same for the other side")]
    experiment: Annotated[Choice, Meta(description="only this experiment")] = ""
    offset: Offset = 0
    limit: Limit = 20


class Upgrade(Request, frozen=True):
    """What an upgrade from one kernel to another changes, most serious first, by the commits that
    cause it.
    """

    older: Kernel
    newer: Kernel
    offset: Offset = 0
    limit: Limit = 10


class History(Request, frozen=True):
    """How a fact's value changed from run to run on each build. Without a fact: the facts that the
    history has.
    """

    fact: Annotated[Choice, Meta(description="FACT, or EXPERIMENT.FACT")] = ""
    offset: Offset = 0
    limit: Limit = 20


class Ask(Request, frozen=True):
    """Boots a kernel in a throw-away virtual machine and asks it one experiment. Answers at once
    with the number of a job; `job` tells how far it is, and what the kernel answered.
    """

    kernel: Annotated[
        Text, Meta(description="one kernel of Debian's archive: 6.12, 6.12.118, 6.12.118-1 or newest")
    ]
    experiment: Annotated[
        Text, Meta(description="one experiment, or some of its variants: table-full[scope=root]")
    ]


class Job(Request, frozen=True):
    """How far a job is: its last messages, and when it has ended, what the kernel answered."""

    job: Annotated[int, Meta(ge=1, le=1_000_000, description="the number that `ask` answered")]
    wait: Annotated[int, Meta(ge=0, le=60, description="seconds to wait for its end at most")] = 0
    offset: Offset = 0
    limit: Limit = 20
