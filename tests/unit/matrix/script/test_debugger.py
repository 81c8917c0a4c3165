from __future__ import annotations

import struct
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from matrix.script import debugger
from matrix.script.debugger import connecting_line, find_loaded_at, find_vmlinux
from tests.support.fakes import make_kernel
from vms.deadline import Deadline
from vms.kernels.kernel import BootFiles, Kernel, Package
from vms.ssh import Finished, Ssh

SOCKET = Path("/tmp/guest/gdb")
LINKED = 0xFFFFFFFF81000000


def elf(path: Path, address: int) -> Path:
    """The beginning of a vmlinux whose first segment has this address."""
    header = b"\x7fELF\x02\x01".ljust(32, b"\0") + struct.pack("<Q", 64)
    path.write_bytes(header.ljust(64, b"\0") + struct.pack("<IIQQ", 1, 5, 0x200000, address))
    return path


def files(kernel: Kernel) -> BootFiles:
    return BootFiles(kernel, "6.1.0-cloud-amd64", Path("vmlinuz"), Path("modules"), None, {})


def test_without_symbols_the_line_only_connects() -> None:
    assert connecting_line(SOCKET, None, 1) == "gdb -ex 'target remote /tmp/guest/gdb'"


def test_symbols_are_loaded_where_the_guest_has_its_kernel(tmp_path: Path) -> None:
    vmlinux = elf(tmp_path / "vmlinux", LINKED)
    line = connecting_line(SOCKET, vmlinux, LINKED + 0x1A000000)
    assert line == f"gdb -ex 'target remote /tmp/guest/gdb' -ex 'symbol-file {vmlinux} -o 0x1a000000'"


@pytest.mark.parametrize("content", [b"", b"MZ" * 100, b"\x7fELF\x02\x01" + b"\xff" * 58])
def test_a_file_that_is_no_kernel_gives_no_symbols(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "vmlinux").write_bytes(content)
    assert "symbol-file" not in connecting_line(SOCKET, tmp_path / "vmlinux", LINKED)


def test_symbols_are_a_trees_or_those_of_debians_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(debugger, "_DEBIANS", tmp_path)
    image = Package("bzImage", "1", "00" * 32, 1, f"file://{tmp_path}/a%20tree/arch/x86/boot/bzImage")
    tree = replace(make_kernel("6.1.9"), id="tree:a tree=00", packages=(image,))
    (tmp_path / "a tree").mkdir()
    assert find_vmlinux(files(tree)) is None
    (tmp_path / "vmlinux-6.1.0-cloud-amd64").touch()
    assert find_vmlinux(files(make_kernel("6.1.9"))) == tmp_path / "vmlinux-6.1.0-cloud-amd64"
    (tmp_path / "a tree" / "vmlinux").touch()
    assert find_vmlinux(files(tree)) == tmp_path / "a tree" / "vmlinux"


@pytest.mark.parametrize(("said", "address"), [(f"{LINKED:x} T _text\n", LINKED), ("", 0), ("grep: no", 0)])
def test_where_the_kernel_is_comes_from_the_guest(said: str, address: int) -> None:
    class Session:
        def run(self, command: str, deadline: Deadline) -> Finished:
            assert "/proc/kallsyms" in command
            return Finished(0, said)

    assert find_loaded_at(cast(Ssh, Session()), Deadline(10, "it")) == address
