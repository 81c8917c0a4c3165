"""Experiments that harm their guest, for tests/guest/test_misbehaviour.py."""

from __future__ import annotations

import os
import stat
import sys
import time
from pathlib import Path

from guest.catalogue import Fact, FactDict, experiment
from guest.lab.lab import Lab

DONE = (Fact("done", bool, "whether it came to its end"),)
SECONDS = 8.0


def _answer(text: bytes) -> FactDict:
    """Writes the text where this process is to write its answer, and ends."""
    for path in Path("/proc/self/fd").iterdir():
        descriptor = int(path.name)
        try:
            pipe = stat.S_ISFIFO(os.fstat(descriptor).st_mode)
        except OSError:
            continue
        if pipe and descriptor > 2:
            try:
                while text:
                    text = text[os.write(descriptor, text[: 1 << 16]) :]
            except OSError:
                continue
    os._exit(0)


@experiment(facts=DONE, seconds=SECONDS)
def behaves(lab: Lab) -> FactDict:
    """Does a guest answer?"""
    return {"done": True}


@experiment(facts=DONE, seconds=SECONDS)
def panics(lab: Lab) -> FactDict:
    """Does the kernel panic?"""
    Path("/proc/sysrq-trigger").write_text("c")
    return {"done": True}


@experiment(facts=DONE, seconds=SECONDS)
def kills_the_agent(lab: Lab) -> FactDict:
    """What if every process but init is killed?"""
    Path("/proc/sysrq-trigger").write_text("i")
    return {"done": True}


@experiment(facts=DONE, seconds=SECONDS)
def is_silent(lab: Lab) -> FactDict:
    """Does a guest answer that says nothing for a while?"""
    time.sleep(3)
    return {"done": True}


@experiment(facts=DONE, seconds=SECONDS)
def loops(lab: Lab) -> FactDict:
    """Does it end?"""
    while True:
        pass


@experiment(facts=DONE, seconds=SECONDS)
def forks(lab: Lab) -> FactDict:
    """How many processes can there be?"""
    while True:
        try:
            os.fork()
        except OSError:
            continue


@experiment(facts=DONE, seconds=SECONDS)
def fills_memory(lab: Lab) -> FactDict:
    """How much memory is there?"""
    held = []
    while True:
        held.append(bytearray(b"x" * (1 << 20)))


@experiment(facts=DONE, seconds=SECONDS)
def fills_the_disk(lab: Lab) -> FactDict:
    """How large is the disk?"""
    with Path("/tmp/large").open("wb") as file:
        while True:
            file.write(b"x" * (1 << 20))


@experiment(facts=DONE, seconds=SECONDS)
def prints(lab: Lab) -> FactDict:
    """How much can be printed?"""
    for _ in range(1 << 14):
        sys.stdout.write("x" * (1 << 16))
    return {"done": True}


@experiment(facts=DONE, seconds=SECONDS)
def prints_on_the_console(lab: Lab) -> FactDict:
    """How much can be printed on the console?"""
    with Path("/dev/ttyS0").open("w") as console:
        while True:
            console.write("x" * (1 << 12))


@experiment(facts=DONE, seconds=SECONDS)
def answers_too_little(lab: Lab) -> FactDict:
    """Is half an answer taken?"""
    return _answer(b'{"schema": 1, "outcome": "answered", "facts": {"done": true}')


@experiment(facts=DONE, seconds=SECONDS)
def answers_too_much(lab: Lab) -> FactDict:
    """Is an answer of 20 MiB taken?"""
    return _answer(b'{"schema": 1, "reason": "' + b"x" * (20 << 20) + b'"}')


@experiment(facts=DONE, seconds=SECONDS)
def answers_deeply(lab: Lab) -> FactDict:
    """Is an answer taken that is nested a hundred thousand times?"""
    return _answer(b'{"facts":' * 100_000 + b"1" + b"}" * 100_000)


@experiment(facts=DONE, seconds=SECONDS)
def answers_nonsense(lab: Lab) -> FactDict:
    """Is an answer taken that is no JSON?"""
    return _answer(b"\x00\xff\x1b[2J nonsense}")


@experiment(facts=DONE, seconds=SECONDS)
def lies_about_its_name(lab: Lab) -> FactDict:
    """Is evidence taken that has the name of the record?"""
    return _answer(
        b'{"schema": 1, "outcome": "answered", "facts": {"done": true},'
        b' "evidence": {"record.json": {"text": "{}"}}}'
    )
