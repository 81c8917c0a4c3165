from __future__ import annotations

import gc
import os
import subprocess
from pathlib import Path

import pytest

from vms import capacity

MEMINFO = "MemTotal:       24000 kB\nMemFree:  100 kB\nMemAvailable:   20000 kB\n"


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine of 8 processors in a container two groups deep."""
    monkeypatch.setattr(capacity, "PROC", tmp_path / "proc")
    monkeypatch.setattr(capacity, "CGROUPS", tmp_path / "cgroup")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: set(range(8)))
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/meminfo").write_text(MEMINFO)
    (tmp_path / "proc/self/cgroup").write_text("0::/outer/inner\n")
    (tmp_path / "cgroup/outer/inner").mkdir(parents=True)
    return tmp_path


def test_without_limits_it_is_the_machine(machine: Path) -> None:
    assert capacity.processors() == 8
    assert capacity.free_memory() == 20000 * 1024


@pytest.mark.parametrize(
    ("limit", "expected"),
    [("max 100000", 8), ("200000 100000", 2), ("50000 100000", 1), ("2000000 100000", 8)],
)
def test_a_limit_on_time_is_a_limit_on_processors(machine: Path, limit: str, expected: int) -> None:
    (machine / "cgroup/outer/inner/cpu.max").write_text(f"{limit}\n")
    assert capacity.processors() == expected


def test_the_tightest_limit_on_memory_counts_and_caches_are_free(machine: Path) -> None:
    for group, limit in (("outer", "10000000"), ("outer/inner", "max")):
        (machine / "cgroup" / group / "memory.max").write_text(f"{limit}\n")
        (machine / "cgroup" / group / "memory.current").write_text("7000000\n")
        (machine / "cgroup" / group / "memory.stat").write_text("anon 4000000\ninactive_file 3000000\n")
    assert capacity.free_memory() == 6_000_000


@pytest.mark.parametrize(("mebibytes", "expected"), [(100_000, 8), (2200, 3), (100, 1)])
def test_as_many_guests_as_there_are_processors_and_memory_for(
    machine: Path, mebibytes: int, expected: int
) -> None:
    (machine / "proc/meminfo").write_text(f"MemAvailable: {mebibytes * 1024} kB\n")
    assert capacity.guests() == expected


def test_children_are_known_until_they_are_waited_for() -> None:
    with subprocess.Popen(["sleep", "60"]) as child:
        assert child.pid in capacity.children()
        child.kill()
    assert child.pid not in capacity.children()


def test_memory_that_a_process_has_for_itself() -> None:
    gc.collect()  # what earlier tests left must not be freed meanwhile
    before = capacity.resident(os.getpid())
    held = bytearray(os.urandom(1)) * (64 << 20)
    assert 60 << 20 < capacity.resident(os.getpid()) - before < 80 << 20
    assert held


def test_a_process_that_has_ended_has_none() -> None:
    with subprocess.Popen(["true"]) as child:
        child.wait()
    assert capacity.resident(child.pid) == 0


def test_the_waits_of_all_threads_for_a_processor_count(machine: Path) -> None:
    for thread, waited in ((7, 1_500_000_000), (8, 2_500_000_000)):
        (machine / f"proc/7/task/{thread}").mkdir(parents=True)
        (machine / f"proc/7/task/{thread}/schedstat").write_text(f"900 {waited} 12\n")
    assert capacity.starved(7) == 4.0
    assert capacity.starved(9) == 0
