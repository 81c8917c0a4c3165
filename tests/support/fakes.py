"""Kernels, experiments and guests that need no machine."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from guest.catalogue import Experiment, Fact, Invariant
from matrix.results.manifest import Surroundings
from matrix.results.record import Record
from matrix.run.executor import Executor, LocalExecutor
from matrix.run.progress import KernelProgress, Overview
from vms.answer import Answer
from vms.boot import Boot
from vms.deadline import Deadline
from vms.errors import LostGuest
from vms.hardware import Hardware
from vms.kernels.kernel import BootFiles, Kernel, Package

SURROUNDINGS = Surroundings(
    image="ab" * 32,
    agent="cd" * 32,
    qemu="7.2.19",
    accelerator="tcg",
    why="there is no /dev/kvm",
    cpu="a CPU",
)


def make_kernel(release: str) -> Kernel:
    series = ".".join(release.replace("~", ".").split(".")[:2])
    package = Package(
        f"linux-image-{release}", f"{release}-1", f"{hash(release) & 0xFFFF:064x}", 10_000_000, ""
    )
    return Kernel(
        release, f"debian:{release}={release}-1", series, release, "cloud", f"{release}-1", "sid", (package,)
    )


def make_experiment(
    name: str,
    facts: Mapping[str, type] | None = None,
    invariants: tuple[Invariant, ...] = (),
    variants: Mapping[str, tuple[str, ...]] | None = None,
    cpus: int = 1,
    waits: bool = False,
    module: str = "",
    alone: str = "",
) -> Experiment:
    declared = {"flows": int} if facts is None else facts
    return Experiment(
        name=name,
        topic="test",
        question=f"What about {name}?",
        doc=f"What about {name}?\n\nMore.",
        run=lambda _lab: {},
        facts=tuple(Fact(fact, kind, f"the {fact}") for fact, kind in declared.items()),
        invariants=invariants,
        variants=dict(variants or {}),
        modules=(),
        seconds=30.0,
        cpus=cpus,
        waits=waits,
        module=module,
        alone=alone,
    )


def answer(request: Mapping[str, Any], **fields: Any) -> Answer:
    whole = json.dumps({"schema": 1, "outcome": "answered", "facts": {"flows": 10}, **fields}).encode()
    header = {"id": request["id"], "bytes": len(whole), "printed": "", "dmesg": "", "seconds": 0.4}
    return Answer(json.dumps(header).encode(), whole)


Behaviour = Callable[[str, dict[str, Any]], Answer]
"""(kernel's name, request) -> the answer; raises LostGuest for a guest that goes away."""


Left = Callable[[Sequence[str]], list[str]]
"""The experiments that a guest was asked -> what the last of them left behind."""


@dataclass
class FakeGuest:
    kernel: str
    behaviour: Behaviour
    left: Left
    crashed: str | None = None
    resident: int = 80 << 20
    cells: list[str] = field(default_factory=list)

    def ask(self, request: bytes, deadline: Deadline, limit: Deadline | None = None) -> Answer:
        assert deadline.remaining > (limit.remaining if limit else 0) >= 0
        asked = json.loads(request)
        if asked["do"] == "settle":
            return Answer(b"", json.dumps({"left": self.left(self.cells)}).encode())
        self.cells.append(asked["experiment"])
        try:
            return self.behaviour(self.kernel, asked | {"cells": self.cells})
        except LostGuest as error:
            if "panic" in error.console:
                self.crashed = error.console
            raise

    def console(self) -> str:
        return f"{self.kernel} booting\n" + "".join(f"{name}\n" for name in self.cells[1:])


@dataclass(eq=False)
class FakeTemplate:
    kernel: str
    behaviour: Behaviour
    left: Left
    running: list[str]
    most: list[int]
    boot: Boot

    def make(self) -> None:
        pass

    @contextmanager
    def start(self) -> Iterator[FakeGuest]:
        self.running.append(self.kernel)
        self.most.append(len(self.running))
        try:
            yield FakeGuest(self.kernel, self.behaviour, self.left)
        finally:
            self.running.remove(self.kernel)


@dataclass
class FakeGuests:
    """Guests that behave as they are told: by the kernel's name and the request, with the names of
    all `cells` of that guest; `left` gives what the last of these leaves behind, and `boots` what
    kernels report, by number of CPUs.

    `running` is what runs now, `most` how many ran at each start.
    """

    behaviour: Behaviour = lambda _kernel, request: answer(request)
    fetch_error: Callable[[str], Exception | None] = lambda _kernel: None
    boot_error: Callable[[str], Exception | None] = lambda _kernel: None
    running: list[str] = field(default_factory=list)
    most: list[int] = field(default_factory=list)
    templates: list[tuple[str, int]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)
    surroundings: Surroundings = SURROUNDINGS
    left: Left = lambda _cells: []
    boots: Mapping[int, Boot] = field(default_factory=dict)

    def executor(self, jobs: int) -> Executor:
        return LocalExecutor(jobs)

    def prepare(self, kernels: Sequence[Kernel]) -> Surroundings:
        assert kernels
        return self.surroundings

    def fetch(self, kernel: Kernel) -> BootFiles:
        if error := self.fetch_error(kernel.name):
            raise error
        return BootFiles(
            kernel, f"{kernel.name}-cloud-amd64", Path("vmlinuz"), Path("modules"), None, {"vmlinuz": "00"}
        )

    def template(self, files: BootFiles, hardware: Hardware) -> FakeTemplate:
        with self.lock:
            self.templates.append((files.kernel.name, hardware.cpus))
        if error := self.boot_error(files.kernel.name):
            raise error
        boot = self.boots.get(hardware.cpus, Boot())
        return FakeTemplate(files.kernel.name, self.behaviour, self.left, self.running, self.most, boot)


@dataclass
class Seen:
    """A display that remembers."""

    notes: list[str] = field(default_factory=list)
    phases: list[tuple[str, str]] = field(default_factory=list)
    records: list[Record] = field(default_factory=list)
    overviews: list[Overview] = field(default_factory=list)

    def note(self, text: str) -> None:
        self.notes.append(text)

    def changed(self, kernel: KernelProgress) -> None:
        self.phases.append((kernel.name, kernel.phase))

    def finished(self, record: Record) -> None:
        self.records.append(record)

    def overview(self, overview: Overview) -> None:
        self.overviews.append(overview)

    def tick(self) -> None:
        pass
