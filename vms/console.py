"""Shows a boot while it happens."""

from __future__ import annotations

import time
from collections.abc import Callable

from vms.command import Machine
from vms.deadline import Deadline
from vms.guest import Guest, printed_text, running
from vms.qemu import LARGEST_FILE
from vms.text import shown

_LINE_CHARACTERS = 2_000


def show_boot(machine: Machine, name: str, deadline: Deadline, show: Callable[[str], None]) -> float:
    """Boots a guest and hands over each line of its console, until it answers over SSH; returns how
    many seconds that took. The guest ends then.

    Raises LostGuest if it does not boot.
    """
    began = time.monotonic()
    with running(machine, name) as guest:
        lines = _Lines(guest, show)
        try:
            with guest.ssh(deadline, lambda: lines.look() or guest.hopeless()):
                return time.monotonic() - began
        finally:
            lines.end()


class _Lines:
    """The lines that a guest's console has printed, each handed over once."""

    def __init__(self, guest: Guest, show: Callable[[str], None]) -> None:
        self._path = guest.qemu.directory / "console"
        self._show = show
        self._read = 0
        self._rest = b""

    def look(self) -> str:
        """Hands over what is new. Returns why no more can come, empty if it can."""
        if self._path.exists():
            with self._path.open("rb") as file:
                file.seek(self._read)
                new = file.read(LARGEST_FILE)
            self._read += len(new)
            *lines, self._rest = (self._rest + new).split(b"\n")
            for line in lines:
                self._hand_over(line)
        return f"printed more than {LARGEST_FILE >> 20} MiB" if self._read >= LARGEST_FILE else ""

    def end(self) -> None:
        """Hands over the rest, even if its line has no end."""
        self.look()
        if self._rest:
            self._hand_over(self._rest)

    def _hand_over(self, line: bytes) -> None:
        self._show(shown(printed_text(line), _LINE_CHARACTERS))
