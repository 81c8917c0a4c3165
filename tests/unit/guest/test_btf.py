from __future__ import annotations

import struct
from pathlib import Path

import pytest

from guest.netlink import Malformed
from guest.observe import btf

INT, STRUCT, FUNC, FUNC_PROTO = 1, 4, 12, 13


def described(types: list[tuple[int, int, int]], strings: bytes) -> bytes:
    """BTF with types of these kinds, members and names, each member zero."""
    words = b""
    for kind, members, name in types:
        behind = {INT: 1, STRUCT: 3 * members, FUNC: 0, FUNC_PROTO: 2 * members}[kind]
        words += struct.pack("=III", name, kind << 24 | members, 0) + bytes(4 * behind)
    header = struct.pack("=HBBIIIII", 0xEB9F, 1, 0, 24, 0, len(words), len(words), len(strings))
    return header + words + strings


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(btf, "_DIRECTORY", tmp_path)
    base = [(INT, 0, 1), (STRUCT, 3, 0), (FUNC_PROTO, 2, 0)]
    (tmp_path / "vmlinux").write_bytes(described(base, b"\0int\0shared\0"))
    return tmp_path


def test_functions_of_a_module_are_numbered_on_from_those_of_the_kernel(directory: Path) -> None:
    base = btf.vmlinux()
    own = [(FUNC, 0, len(base.strings) + 1), (STRUCT, 2, 0), (FUNC, 0, 5)]
    (directory / "module").write_bytes(described(own, b"\0bpf_ct_release\0"))
    assert base.types == 3
    # The second name is one that the kernel's own types have already.
    assert btf.functions("module", base) == {"bpf_ct_release": 4, "shared": 6}


def test_a_kernel_may_not_describe_a_module(directory: Path) -> None:
    assert btf.available("vmlinux")
    assert not btf.available("module")
    with pytest.raises(FileNotFoundError):
        btf.functions("module", btf.vmlinux())


def test_what_is_no_BTF_is_refused(directory: Path) -> None:
    (directory / "vmlinux").write_bytes(bytes(100))
    with pytest.raises(Malformed, match="BTF"):
        btf.vmlinux()
