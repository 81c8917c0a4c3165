"""One bisection: from two kernels to the pair of builds between which a fact changes, with the run
that asked and its reports.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from guest.catalogue import Experiment
from matrix.analysis.analysis import analyse
from matrix.analysis.answers import Answers, read_answers
from matrix.analysis.ledger.model import Ledger
from matrix.bisect.asker import Asker
from matrix.bisect.bisect import Request, bisect
from matrix.bisect.outcome import Bisection
from matrix.bisect.target import Target
from matrix.plan.plan import Choice, plan_choices
from matrix.report.text.bisected import bisection_markdown
from matrix.report.write import write_reports
from matrix.results.record import Record
from matrix.run.guests import Guests
from matrix.run.progress import Display
from vms.cache import Cache
from vms.errors import UsageError
from vms.files import write_whole
from vms.kernels.changelog import read_changelog, titles_between
from vms.kernels.kernel import Build, Kernel
from vms.kernels.order import build_key


@dataclass(frozen=True)
class BisectRequest:
    """What a bisection is made of. `kernels` are all that can be asked from the first end of the
    range to the last, in the order of kernels.

    `at_once` is how many builds are asked at a time. `ask_again`: answers of earlier runs are not
    taken. `offline`: no changelog is fetched.
    """

    target: Target
    kernels: Sequence[Kernel]
    catalogue: Mapping[str, Experiment]
    code: Mapping[str, str]
    ledger: Ledger
    guests: Guests
    cache: Cache
    results: Path
    at_once: int
    command: tuple[str, ...]
    display: Display
    find_fix: bool = False
    ask_again: bool = False
    offline: bool = False


def builds_between(old: Kernel, new: Kernel, all_builds: Sequence[Kernel]) -> tuple[Kernel, ...]:
    """Every build of the ends' flavour from one to the other.

    Raises UsageError if the ends are the same, in the wrong order, of different flavours, or not
    among the builds.
    """
    ids = {build.id for build in all_builds}
    for end in (old, new):
        if end.id not in ids:
            raise UsageError(
                f"{end.name} is not among the builds of the configured suites; of a tree of your own"
                " `git bisect run` goes through the commits (docs/bisect.md)"
            )
    if old.flavour != new.flavour:
        raise UsageError(
            f"{old.name} is of the flavour {old.flavour}, {new.name} of {new.flavour}; give two of one"
        )
    if build_key(old) >= build_key(new):
        raise UsageError(
            f"{old.name} ({old.version}) is not older than {new.name} ({new.version}); give the older first"
        )
    return tuple(
        build
        for build in all_builds
        if build.flavour == old.flavour and build_key(old) <= build_key(build) <= build_key(new)
    )


def run_bisection(request: BisectRequest, complain: Callable[[str], None]) -> Bisection:
    """Finds the pair, writes the run's reports with `report/bisect.md`, and returns what was found.

    After KeyboardInterrupt the answers are on disk, and the next call goes on with them. Raises as
    `matrix.bisect.bisect`. `complain` is called with a message for each run that cannot be read.
    """
    target, display = request.target, request.display
    answers = read_answers(request.results, complain)
    builds, recorded = _on_record(request, answers)
    asker = Asker(
        plan_choices(request.kernels, [Choice(target.experiment, (target.variant,))]),
        request.guests,
        request.results,
        request.at_once,
        request.command,
        display,
        request.code,
    )
    finished = False
    try:
        found = bisect(
            Request(target, builds, recorded, request.ledger, request.at_once, request.find_fix),
            asker,
            lambda left, right: _titles(request, left, right),
            display.note,
        )
        found = _written(request, asker, found)
        finished = True
    finally:
        asker.close(finished=finished)
    return found


def _on_record(request: BisectRequest, answers: Answers) -> tuple[list[Build], dict[str, tuple[Record, str]]]:
    """The builds of the range, with those that are only on record, and the answers on record."""
    if request.ask_again:
        return list(request.kernels), {}
    target = request.target
    first, last = request.kernels[0], request.kernels[-1]
    builds: dict[str, Build] = {kernel.id: kernel for kernel in request.kernels}
    recorded = {}
    for id_, kernel in answers.known.kernels.items():
        answer = answers.known.answer_of(id_, target.experiment, target.variant)
        within = kernel.flavour == first.flavour and build_key(first) <= build_key(kernel) <= build_key(last)
        if answer is None or not answer.record.status.is_lasting or not within:
            continue
        builds.setdefault(id_, kernel)
        path = answers.runs.get(answer.order)
        recorded[id_] = answer.record, path.name if path else "reference"
    return sorted(builds.values(), key=build_key), recorded


def _titles(request: BisectRequest, left: Build, right: Build) -> Sequence[str]:
    kernel = next((kernel for kernel in request.kernels if kernel.id == right.id), None)
    if kernel is None:
        raise UsageError(f"{right.version} is no longer in its archive, so its changelog cannot be read")
    request.display.note(f"reading the changelog of {right.version}")
    changelog = read_changelog(kernel, request.cache, offline=request.offline)
    return titles_between(changelog, left.version)


def _written(request: BisectRequest, asker: Asker, found: Bisection) -> Bisection:
    """What was found with the run that asked, after writing its reports."""
    answered = asker.answered()
    if answered is None or asker.run is None:
        return found
    path = asker.run.path
    write_reports(path, analyse(*answered, request.catalogue, request.ledger))
    write_whole(path / "report" / "bisect.md", bisection_markdown(found).encode())
    return replace(found, run=path.name)
