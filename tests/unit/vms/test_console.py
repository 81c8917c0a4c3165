from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from vms import console
from vms.command import Machine
from vms.console import show_boot
from vms.deadline import Deadline
from vms.errors import LostGuest

Broken = Callable[[], str]


class Booting:
    """A guest that prints these pieces, one between each two looks at its console, and then answers
    unless it is hopeless.
    """

    def __init__(self, directory: Path, pieces: list[bytes], hopeless: str = "") -> None:
        self.qemu = SimpleNamespace(directory=directory)
        self._pieces = pieces
        self._hopeless = hopeless

    def hopeless(self) -> str:
        return self._hopeless

    @contextmanager
    def ssh(self, _deadline: Deadline, broken: Broken) -> Iterator[None]:
        broken()
        for piece in self._pieces:
            with (self.qemu.directory / "console").open("ab") as file:
                file.write(piece)
            if why := broken():
                raise LostGuest(why)
        yield


@pytest.fixture
def boots(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    def give(pieces: list[bytes], hopeless: str = "") -> None:
        @contextmanager
        def running(*_: Any) -> Iterator[Booting]:
            yield Booting(tmp_path, pieces, hopeless)

        monkeypatch.setattr(console, "running", running)

    return give


def test_each_line_is_shown_once_while_the_boot_goes_on(boots: Callable[..., None], machine: Machine) -> None:
    boots([b"[0.0] Lin", b"ux\r\n\x1b[31mred\x1b[0m\x07\n[1.0] a", b"", b" b"])
    lines: list[str] = []
    assert show_boot(machine, "6.1.0", Deadline(60, "a boot"), lines.append) > 0
    assert lines == ["[0.0] Linux", "red␇", "[1.0] a b"]


def test_a_boot_that_fails_is_shown_to_its_last_line(boots: Callable[..., None], machine: Machine) -> None:
    boots([b"Kernel panic", b"never"], "its kernel panicked")
    lines: list[str] = []
    with pytest.raises(LostGuest, match="its kernel panicked"):
        show_boot(machine, "6.1.0", Deadline(60, "a boot"), lines.append)
    assert lines == ["Kernel panic"]


def test_a_kernel_that_only_prints_is_ended(boots: Callable[..., None], machine: Machine) -> None:
    boots([b"x" * 1000 + b"\n" * (8 << 20)])
    with pytest.raises(LostGuest, match="printed more than 8 MiB"):
        show_boot(machine, "6.1.0", Deadline(60, "a boot"), lambda line: None)
