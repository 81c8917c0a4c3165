"""What a site is made of: the newest answers of all builds of some runs, analysed once."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from guest.catalogue import Experiment
from matrix.analysis.analysis import Analysis, analyse
from matrix.analysis.answers import Answers
from matrix.analysis.ledger.model import Ledger
from matrix.analysis.upgrade import asked_now
from matrix.report.website.slug import slug
from matrix.results.latest import LatestAnswers, read_runs
from matrix.results.manifest import KernelEntry
from vms.errors import UsageError
from vms.kernels.order import build_key


@dataclass(frozen=True)
class SiteBuild:
    """A build that answered. Its name is unique, `slug` is its name in addresses, and `asked` is
    when its newest answer was asked for (ISO 8601, UTC).
    """

    entry: KernelEntry
    slug: str
    asked: str


@dataclass(frozen=True)
class Contents:
    """The record: `builds` in kernel order, which are also the columns of the analysis."""

    answers: Answers
    builds: tuple[SiteBuild, ...]
    analysis: Analysis
    ledger: Ledger
    catalogue: Mapping[str, Experiment]


def topic_of(experiment: Experiment | None) -> str:
    """The topic, or words for what the catalogue no longer has."""
    return experiment.topic if experiment else "no longer in the catalogue"


def read_contents(runs: Sequence[Path], catalogue: Mapping[str, Experiment], ledger: Ledger) -> Contents:
    """The answers of these run directories, of which there is at least one; a newer answer replaces
    an older one.

    Raises UsageError if a run cannot be read, or if none has an answer.
    """
    known = LatestAnswers()
    for path in runs:
        found = read_runs(path)
        known = known.with_runs(found)
        manifest, _ = found[-1]
    answers = Answers(known)
    asked: dict[str, str] = {}
    for (build, _, _), answer in known.answers.items():
        asked[build] = max(asked.get(build, ""), answer.seen)
    if not asked:
        raise UsageError(
            f"no kernel of {', '.join(map(str, runs))} has answered anything; give another --run"
        )
    entries = sorted((known.kernels[build] for build in asked), key=build_key)
    builds = tuple(SiteBuild(entry, slug(entry.name), asked[entry.id]) for entry in _named(entries))
    records = [
        replace(record, kernel=build.entry.name) if record.kernel != build.entry.name else record
        for build in builds
        for record, _ in asked_now(answers.of(build.entry), catalogue).values()
    ]
    whole = replace(manifest, kernels=tuple(build.entry for build in builds))
    return Contents(answers, builds, analyse(whole, records, catalogue, ledger), ledger, catalogue)


def _named(entries: Sequence[KernelEntry]) -> list[KernelEntry]:
    """The builds with names that are unique: runs of their own may have called two builds alike."""
    names = Counter(entry.name for entry in entries)
    return [
        entry
        if names[entry.name] == 1
        else replace(entry, name=f"{entry.name}+{hashlib.sha256(entry.id.encode()).hexdigest()[:8]}")
        for entry in entries
    ]
