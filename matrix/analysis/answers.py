"""The newest answer of every cell in any run on this machine, and where its evidence is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from matrix.results.directory import cell_path
from matrix.results.latest import LatestAnswers, complain_of_future, read_runs
from matrix.results.manifest import KernelEntry, Order
from matrix.results.record import Record
from vms.errors import UsageError
from vms.kernels.order import build_key
from vms.program import COMMAND
from vms.suggest import suggestion

Seen = tuple[Record, Path | None]
"""A record, and its cell's directory if that was kept."""


@dataclass(frozen=True)
class Answers:
    """The newest answers of all runs on this machine.

    `runs` maps the order of a run to its directory, relative to the checkout, if that holds the
    evidence of its cells.
    """

    known: LatestAnswers = field(default_factory=LatestAnswers)
    runs: Mapping[Order, Path] = field(default_factory=dict)

    def pick(self, spec: str) -> KernelEntry:
        """The newest build with answers that has this name, id, release, version or series; of the
        cloud flavour if there is one.

        Raises UsageError if there is none.
        """
        answered = {kernel for kernel, _, _ in self.known.answers}
        builds = [entry for entry in self.known.kernels.values() if entry.id in answered]
        found = [entry for entry in builds if spec in (entry.name, entry.id, entry.release, entry.version)]
        found = found or [entry for entry in builds if entry.series == spec]
        if not found:
            names = [entry.name for entry in sorted(builds, key=build_key)]
            raise UsageError(
                f"no run has answers of a kernel {spec!r}; run `{COMMAND} matrix -k {spec}` to get them"
                + (f", or {suggestion(spec, names)}" if names else "")
            )
        return max(found, key=lambda entry: (entry.flavour == "cloud", build_key(entry)))

    def of(self, kernel: KernelEntry) -> dict[tuple[str, str], Seen]:
        """The kernel's records by experiment and variant, each with its cell's directory if that
        was kept.
        """
        return {
            (experiment, variant): (
                answer.record,
                cell_path(self.runs[answer.order], answer.record) if answer.order in self.runs else None,
            )
            for (key, experiment, variant), answer in self.known.answers.items()
            if key == kernel.id
        }


def read_answers(results: Path, complain: Callable[[str], None]) -> Answers:
    """The newest answer of every cell in any run, `results/reference` included.

    `complain` is called with a message for each run that cannot be read or is from the future.
    """
    known, runs = LatestAnswers(), dict[Order, Path]()
    for path in sorted(
        path.parent for path in results.glob("*/manifest.json") if not path.parent.is_symlink()
    ):
        try:
            found = read_runs(path)
        except UsageError as error:
            complain(f"left out: {error}")
            continue
        known = known.with_runs(found)
        manifest, _ = found[-1]
        complain_of_future(manifest, complain)
        if (path / "cells").is_dir():
            runs[manifest.order] = path.relative_to(results.parent)
    return Answers(known, runs)
