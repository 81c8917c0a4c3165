"""How much memory a further clone takes, with all that ran before it still there."""

from __future__ import annotations

import re
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from bench.figure import Figure
from bench.guests import answered, question, template
from vms.deadline import Deadline
from vms.errors import HostError
from vms.qemu import Qemu

KERNEL = "6.12"
CLONES = 6
_SOON = 60


@dataclass(frozen=True)
class Taken:
    """Bytes of memory that QEMU processes have, from /proc/PID/smaps_rollup: proc(5).

    `proportional` counts a page that n processes share as a page's nth part for each, so that the
    sum over all is what all of them take together. `alone` is what each wrote: its own pages and no
    file's.
    """

    proportional: int
    alone: int


def measure() -> list[Figure]:
    """Clones are started one after the other, each answers one `baseline` cell and stays."""
    cloned = template(KERNEL)
    if cloned.cold:
        raise HostError(f"{cloned.name} cannot be cloned here: {cloned.cold}")
    asked = question("baseline", frontend="legacy", scope="user")
    answered(cloned, asked)  # else the template's pages may not be in memory yet
    started: list[Qemu] = []
    totals: list[Taken] = []
    with ExitStack() as open_guests:
        for number in range(CLONES):
            guest = open_guests.enter_context(cloned.start())
            idle = taken(guest.qemu).alone
            guest.ask(asked.line(str(number)), Deadline(_SOON, "an answer"))
            started.append(guest.qemu)
            each = [taken(qemu) for qemu in started]
            totals.append(Taken(sum(one.proportional for one in each), sum(one.alone for one in each)))
    further = (totals[-1].proportional - totals[0].proportional) / (CLONES - 1)
    alone = (totals[-1].alone - totals[0].alone) / (CLONES - 1)
    booted = cloned.machine.hardware.memory << 20
    return [
        Figure(
            "first_megabytes",
            totals[0].proportional / 1e6,
            "MB",
            f"the first clone of {cloned.name} after a `baseline` cell, all its pages",
        ),
        Figure(
            "further_megabytes",
            further / 1e6,
            "MB",
            f"each of {CLONES - 1} further clones beside it; each wrote {alone / 1e6:.1f} and shares the"
            " rest",
            idle / 1e6,
            "a clone that was asked nothing yet",
        ),
        Figure(
            "shared_ratio",
            booted / further,
            "x",
            f"the {booted >> 20} MiB that a guest has against what a further clone takes",
        ),
    ]


def taken(qemu: Qemu) -> Taken:
    """What one process has now."""
    text = Path(f"/proc/{qemu.pid}/smaps_rollup").read_text()
    fields = {
        name: int(kilobytes) * 1024
        for name, kilobytes in re.findall(r"^(\w+): +(\d+) kB$", text, re.MULTILINE)
    }
    return Taken(fields["Pss"], fields["Anonymous"])
