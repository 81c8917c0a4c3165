"""What the kernel says of a process' memory is read rightly: what is shared is counted in part,
what was written in whole.
"""

from __future__ import annotations

import mmap
import os
import subprocess
import sys
from pathlib import Path
from typing import cast

from bench.memory import Taken, taken
from vms.qemu import Qemu

SIZE = 32 << 20


class Ourselves:
    """In QEMU's place."""

    pid = os.getpid()


_MAPPED = (
    "import mmap, sys; f = open(sys.argv[1], 'rb'); m = mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ);"
    " sum(m[::4096]); print(); input()"
)


def now() -> Taken:
    return taken(cast(Qemu, Ourselves()))


def test_written_pages_of_a_private_mapping_are_its_own_and_read_ones_are_not(tmp_path: Path) -> None:
    path = tmp_path / "memory"
    path.write_bytes(os.urandom(SIZE))
    with path.open("rb") as file, mmap.mmap(file.fileno(), SIZE, mmap.MAP_PRIVATE) as memory:
        before = now()
        assert sum(memory[::4096]) >= 0
        read = now()
        for page in range(0, SIZE // 2, 4096):  # one object of 16 MiB might stay in this process' heap
            memory[page] = 1
        written = now()
    assert read.proportional - before.proportional > SIZE * 3 // 4
    assert read.alone - before.alone < SIZE // 4
    assert SIZE // 4 < written.alone - read.alone < SIZE * 3 // 4


def test_pages_that_two_processes_read_count_half_for_each(tmp_path: Path) -> None:
    path = tmp_path / "memory"
    path.write_bytes(os.urandom(SIZE))
    with path.open("rb") as file, mmap.mmap(file.fileno(), SIZE, mmap.MAP_PRIVATE) as memory:
        assert sum(memory[::4096]) >= 0
        before = now()
        with subprocess.Popen(
            [sys.executable, "-c", _MAPPED, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as other:
            assert other.stdout
            other.stdout.readline()
            shared = now()
            other.communicate(b"\n")
    assert SIZE // 4 < before.proportional - shared.proportional < SIZE * 3 // 4
