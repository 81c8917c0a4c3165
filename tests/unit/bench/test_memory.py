"""What the kernel says of a process' memory is read rightly: what is shared is counted in part, what was written in whole."""

from __future__ import annotations

import mmap
import os
from pathlib import Path
from typing import cast

from bench.memory import Taken, taken
from vms.qemu import Qemu

SIZE = 32 << 20


class Ourselves:
    """In QEMU's place."""

    pid = os.getpid()


def now() -> Taken:
    return taken(cast(Qemu, Ourselves()))


def test_written_pages_of_a_private_mapping_are_its_own_and_read_ones_are_not(tmp_path: Path) -> None:
    path = tmp_path / "memory"
    path.write_bytes(os.urandom(SIZE))
    with path.open("rb") as file, mmap.mmap(file.fileno(), SIZE, mmap.MAP_PRIVATE) as memory:
        before = now()
        assert sum(memory[::4096]) >= 0
        read = now()
        memory[: SIZE // 2] = bytes(SIZE // 2)
        written = now()
    assert read.proportional - before.proportional > SIZE * 3 // 4
    assert read.alone - before.alone < SIZE // 4
    assert SIZE // 4 < written.alone - read.alone < SIZE * 3 // 4
