"""Answers of earlier runs that a run can use instead of asking again.

Each record has a key: a digest of all that determines its answer. A cell with the same key has the
same answer, whatever else its run asks.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from matrix.plan.plan import Cell
from matrix.results.decode import read_manifest
from matrix.results.directory import Key, RunDirectory
from matrix.results.latest import read_finished
from matrix.results.manifest import KernelEntry, Manifest, Surroundings
from matrix.results.published import is_published
from matrix.results.record import SCHEMA, Record
from vms.errors import UsageError
from vms.kernels.kernel import Kernel


def answer_key(cell: Cell, code: str, surroundings: Surroundings) -> str:
    """A digest of all that determines a cell's answer: the kernel's packages, the experiment's code
    and variant, the image, QEMU, the accelerator and the host's CPU.

    `code` is the experiment's digest of `matrix.plan.code`.
    """
    kernel: Kernel = cell.kernel
    parts = [
        SCHEMA,
        kernel.scheme,
        sorted(package.sha256 for package in kernel.packages),
        cell.experiment.name,
        code,
        sorted(cell.variant.items()),
        [surroundings.image, surroundings.qemu, surroundings.accelerator, surroundings.cpu],
    ]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def answer_keys(cells: Iterable[Cell], code: Mapping[str, str], surroundings: Surroundings) -> dict[Key, str]:
    """The key of each cell whose experiment's code is known, as `answer_key`."""
    return {
        cell.key: answer_key(cell, code[cell.experiment.name], surroundings)
        for cell in cells
        if cell.experiment.name in code
    }


def reuse(run: RunDirectory, cells: Collection[Cell]) -> Mapping[str, int]:
    """Takes over the answers to these cells that earlier runs beside this one have, with their
    evidence; how many from each run.

    A run that cannot be read is skipped, and so is an answer whose evidence is gone. Of kernels
    that are `pristine` by the manifest, only answers of guests that were asked nothing before are
    taken. A leak was reported by the run that saw it.
    """
    pristine = run.manifest.pristine or ()
    wanted = {run.keys[cell.key]: cell for cell in cells if cell.key in run.keys}
    taken: Counter[str] = Counter()
    entries: dict[str, KernelEntry] = {}
    for earlier in _earlier(run):
        if not wanted:
            break
        ids = {cell.kernel.id for cell in wanted.values()}
        if ids.isdisjoint(kernel.id for kernel in earlier.manifest.kernels):
            continue
        by_name = {kernel.name: kernel for kernel in earlier.manifest.kernels}
        for record in earlier.records():
            cell = wanted.get(record.key) if record.status.is_lasting else None
            origin = record.reused or earlier.manifest.run
            if (
                cell
                and (record.asked.alone or cell.kernel.name not in pristine)
                and record.kernel in by_name
                and run.take_over(
                    earlier.path, record, replace(record, kernel=cell.kernel.name, reused=origin, leak=None)
                )
            ):
                del wanted[record.key]
                taken[origin] += 1
                entries.setdefault(cell.kernel.name, by_name[record.kernel])
    if taken:
        # A kernel of which nothing is left to ask is not fetched, which would tell this.
        kernels = tuple(_known(kernel, entries.get(kernel.name)) for kernel in run.manifest.kernels)
        counts = Counter(record.reused for record in run.records.values() if record.reused)
        run.update(replace(run.manifest, kernels=kernels, reused=dict(counts)))
    return taken


@dataclass(frozen=True)
class _Earlier:
    path: Path
    manifest: Manifest

    def records(self) -> list[Record]:
        try:
            return read_finished(self.path)[1]
        except (UsageError, OSError):
            return []


def _earlier(run: RunDirectory) -> Iterator[_Earlier]:
    """The other runs in which the same may have been asked, the newest first."""
    found = []
    for path in run.path.parent.glob("*/manifest.json"):
        if path.parent.is_symlink() or path.parent == run.path or is_published(path.parent):
            continue  # a record has no evidence to take over
        try:
            manifest = read_manifest(path.parent)
        except (UsageError, OSError):
            continue
        if manifest.surroundings.image == run.manifest.surroundings.image:
            found.append(_Earlier(path.parent, manifest))
    return iter(sorted(found, key=lambda one: (one.manifest.order, one.manifest.run), reverse=True))


def _known(kernel: KernelEntry, earlier: KernelEntry | None) -> KernelEntry:
    if earlier is None or kernel.uname:
        return kernel
    return replace(kernel, uname=earlier.uname, sha256=earlier.sha256, boot=earlier.boot)
