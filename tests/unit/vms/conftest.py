from __future__ import annotations

import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from vms import qemu_binary
from vms.agent import Agent
from vms.command import Accelerator, Machine
from vms.hardware import Hardware

FAKE = Path(__file__).with_name("fake_qemu.py")

Fake = Callable[[str], None]


@pytest.fixture
def fake_qemu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Fake]:
    """A QEMU that does what it is told by calling this fixture."""
    directory = tmp_path / "bin"
    directory.mkdir()
    program = directory / "qemu-system-x86_64"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -I -S "{FAKE}" "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(directory), prepend=":")

    def behave(modes: str) -> None:
        monkeypatch.setenv("FAKE_QEMU", modes)
        qemu_binary.first_found.cache_clear()

    behave("")
    yield behave
    qemu_binary.first_found.cache_clear()


@pytest.fixture
def machine() -> Machine:
    accelerator = Accelerator("tcg", "qemu64", "the test asked for it")
    return Machine(
        accelerator,
        Hardware(memory=8),
        Path("/no/vmlinuz"),
        Path("/no/initramfs"),
        Path("/no/image"),
        Path("/no/modules"),
    )


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


@pytest.fixture
def agent(tmp_path: Path) -> Agent:
    directory = tmp_path / "guest"
    directory.mkdir()
    (directory / "agent.py").write_text("pass")
    return Agent(directory, "guest.agent")
