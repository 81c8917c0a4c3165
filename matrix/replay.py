"""Asks one cell of an earlier run again, of the same build, and compares the two answers."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from guest.catalogue import Experiment
from matrix.plan.plan import SCRIPT, SUITE, Cell, variant_name
from matrix.results.directory import find_run, record_key
from matrix.results.judge import verdict
from matrix.results.latest import read_finished
from matrix.results.manifest import KernelEntry, Manifest, Surroundings
from matrix.results.record import FactValue, Record, Status
from matrix.run.cell import Question, ask
from matrix.run.guests import Guests
from vms.errors import UsageError
from vms.kernels.kernel import Kernel
from vms.suggest import suggestion

_CONTENT = re.compile(r"=[0-9a-f]+$")  # ends the id of a kernel that is from no archive


@dataclass(frozen=True)
class Asked:
    """A cell of an earlier run, its kernel, and the run."""

    manifest: Manifest
    kernel: KernelEntry
    record: Record

    @property
    def spec(self) -> str:
        """What selects the same build with `--kernel`."""
        if self.kernel.id.startswith("debian:"):
            return self.kernel.id
        return f"{self.kernel.name}={_CONTENT.sub('', self.kernel.id)}"

    def cell(self, kernel: Kernel, catalogue: Mapping[str, Experiment]) -> Cell:
        """The cell on the kernel that `spec` selected.

        Raises UsageError if that is another build now, or if the experiment or its variant is gone.
        """
        if kernel.id != self.kernel.id:
            raise UsageError(
                f"{self.kernel.name}: {self.spec} is another build than in the run:"
                f" {kernel.id}, not {self.kernel.id}"
            )
        record = self.record
        if record.experiment not in catalogue:
            raise UsageError(f"there is no experiment {record.experiment!r} any more, which the run asked")
        experiment = catalogue[record.experiment]
        if record.variant not in experiment.combinations():
            raise UsageError(
                f"{experiment.name} has no variant {variant_name(record.variant)!r} any more,"
                " which the run asked"
            )
        return Cell(kernel, experiment, record.variant)


@dataclass(frozen=True)
class Replay:
    """A cell's answer in its run, and the answer now. `changed` names what else is not the same as
    in the run: the image, the agent, QEMU, the accelerator, the CPU.
    """

    before: Record
    after: Record
    changed: tuple[str, ...]

    @property
    def same(self) -> bool:
        """Whether status, facts and splats are equal."""
        return self.before.same_answer(self.after, reason=False)

    @property
    def differences(self) -> Iterator[tuple[str, FactValue | None, FactValue | None]]:
        """Each fact that is not equal, with its value before and after, None if it had none."""
        before, after = self.before.facts, self.after.facts
        for name in dict.fromkeys((*before, *after)):
            if (name in before, before.get(name)) != (name in after, after.get(name)):
                yield name, before.get(name), after.get(name)

    @property
    def exit_code(self) -> int:
        """0 if the answers are the same, 1 if not, 3 if there is none now."""
        if self.after.status is Status.ERROR:
            return 3
        return 0 if self.same else 1


def find_cell(results: Path, run: str, cell: str) -> Asked:
    """The cell of a run, by its directory under `cells/`: `6.12.118/table-full/scope=root`.

    Raises UsageError if there is no such run or cell, or if the cell has no answer to compare with.
    """
    manifest, records = read_finished(find_run(results, run))
    by_name = {"/".join(filter(None, record_key(record))): record for record in records}
    record = by_name.get(cell.strip("/"))
    if record is None:
        listing = f"for example {min(by_name, default='none')}; the run's directory cells/ has all"
        raise UsageError(f"the run {manifest.run} has no cell {cell!r}; {suggestion(cell, by_name, listing)}")
    if record.experiment.startswith((f"{SCRIPT}-", f"{SUITE}-")):
        raise UsageError(f"{cell}: a run does not keep the script that it ran; run it again")
    if record.status is Status.ERROR:
        raise UsageError(f"{cell}: this cell has no answer in the run {manifest.run}: {record.reason}")
    kernel = next(entry for entry in manifest.kernels if entry.name == record.kernel)
    return Asked(manifest, kernel, record)


def replay(asked: Asked, cell: Cell, guests: Guests) -> Replay:
    """Asks the cell once more, in a fresh guest.

    Raises UsageError if the kernel's files are not those of the run.
    """
    now = guests.prepare([cell.kernel])
    files = guests.fetch(cell.kernel)
    if asked.kernel.sha256 and dict(files.sha256) != asked.kernel.sha256:
        raise UsageError(f"{cell.kernel.name}: its files are not those of the run {asked.manifest.run}")
    template = guests.template(files, cell.hardware)
    after = verdict(cell, ask(template, Question.of(cell, own=True)), 1).record
    return Replay(asked.record, after, _changed(asked.manifest.surroundings, now))


def _changed(then: Surroundings, now: Surroundings) -> tuple[str, ...]:
    names = {
        "image": "the guests' image",
        "agent": "the code in the guest",
        "qemu": "QEMU",
        "accelerator": "the accelerator",
        "cpu": "the CPU",
    }
    return tuple(name for key, name in names.items() if getattr(then, key) != getattr(now, key))
