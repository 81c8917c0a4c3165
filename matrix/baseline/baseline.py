"""The baseline: for every cell the answer that a user has accepted, and who accepted it when and
why.

It is one file beside `matrix.toml`, to be committed like a lock file, so that every checkout and CI
compare with the same answers. Each cell is one line: the diff of a commit shows what moved.
"""

from __future__ import annotations

import getpass
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from matrix.analysis.compare import comparable
from matrix.plan.plan import variant_name
from matrix.results.latest import Answer, Key, LatestAnswers
from matrix.results.manifest import Number, kernel_entry
from matrix.results.record import FactValue, Record, Status
from vms import tool
from vms.deadline import Deadline
from vms.decode import Undecodable, decode
from vms.errors import HostError, UsageError
from vms.files import write_whole
from vms.kernels.kernel import Build
from vms.splats import Splat

FORM = 1
"""Version of the file's form; raised when a reader of the old one would misread the new one."""


class _Form(msgspec.Struct):
    form: int = FORM


@dataclass(frozen=True)
class Acceptance:
    """One update of the baseline.

    `when` is ISO 8601 in UTC; `cells` counts the answers that were new or changed.
    """

    who: str
    when: str
    why: str
    cells: int


@dataclass(frozen=True)
class Baseline:
    """The accepted answers, and all acceptances, oldest first."""

    known: LatestAnswers = field(default_factory=LatestAnswers)
    acceptances: tuple[Acceptance, ...] = ()


class BaselineCell(msgspec.Struct, omit_defaults=True):
    """An accepted answer.

    `kernel` is the build's id, `seen` when the run that gave the answer was started, `run` the
    number of that run.
    """

    kernel: str
    experiment: str
    status: Status
    seen: str
    variant: dict[str, str] = {}
    facts: dict[str, FactValue] = {}
    reason: str = ""
    splats: tuple[Splat, ...] = ()
    run: Number = 0


class BaselineFile(msgspec.Struct):
    """The whole file."""

    form: int
    acceptances: list[Acceptance]
    kernels: list[Build]
    cells: list[BaselineCell]


def accept(baseline: Baseline, known: LatestAnswers, who: str, when: str, why: str) -> Baseline:
    """The baseline with the newest answers. An `unstable` cell keeps its accepted answer.

    Raises UsageError if no reason is given, or if every answer is accepted already.
    """
    if not why.strip():
        raise UsageError("accept: give the reason, for example --why 'backport of b12fa46, see the ledger'")
    answers = dict(baseline.known.answers)
    moved = 0
    for key, answer in known.answers.items():
        if comparable(answer.record) and not _accepted(answers.get(key), answer):
            answers[key] = answer
            moved += 1
    if not moved:
        raise UsageError("accept: nothing to accept, every known answer is accepted already")
    kernels = {
        **baseline.known.kernels,
        **{key: entry for key, entry in known.kernels.items() if any(key == cell[0] for cell in answers)},
    }
    return Baseline(
        LatestAnswers(kernels, answers), (*baseline.acceptances, Acceptance(who, when, why.strip(), moved))
    )


def whoami(checkout: Path) -> str:
    """The user's name: git's author in this checkout, else the login name."""
    try:
        return tool.run(
            ["git", "-C", str(checkout), "var", "GIT_AUTHOR_IDENT"],
            Deadline(10, "asking git for the user's name"),
        ).rsplit(" ", 2)[0]
    except HostError:
        return getpass.getuser()


def read_baseline(path: Path) -> Baseline:
    """The baseline in the file; an empty one if there is none yet.

    Raises UsageError if it is damaged.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return Baseline()
    except OSError as error:
        raise UsageError(f"cannot read the baseline {path}: {error.strerror}") from error
    try:
        form = decode(content, _Form).form
        if form != FORM:
            raise UsageError(
                f"the baseline {path} has form {form} and was written by"
                f" {'a newer' if form > FORM else 'an older'} version of conntrack-matrix; this one reads"
                f" form {FORM}: use the version that wrote it, or remove the file and accept a run again"
            )
        file = decode(content, BaselineFile)
    except Undecodable as error:
        raise UsageError(
            f"the baseline {path} cannot be read: {error}; restore it from version control"
        ) from error
    kernels = {build.id: kernel_entry(build) for build in file.kernels}
    answers: dict[Key, Answer] = {}
    for cell in file.cells:
        if cell.kernel not in kernels:
            raise UsageError(
                f"the baseline {path} has a cell of {cell.kernel!r}, which is not among its kernels; restore"
                " it from version control"
            )
        record = Record(
            kernels[cell.kernel].name,
            cell.experiment,
            cell.variant,
            cell.status,
            cell.facts,
            cell.reason,
            splats=cell.splats,
        )
        key = (cell.kernel, cell.experiment, variant_name(cell.variant))
        answers[key] = Answer(record, cell.seen, cell.run)
    return Baseline(LatestAnswers(kernels, answers), tuple(file.acceptances))


def write_baseline(path: Path, baseline: Baseline) -> None:
    """Writes the file, whole or not at all, with a line per acceptance, kernel and cell."""
    parts: dict[str, Sequence[object]] = {
        "acceptances": list(baseline.acceptances),
        "kernels": [
            msgspec.convert(kernel, Build, from_attributes=True)
            for kernel in sorted(baseline.known.kernels.values(), key=lambda entry: entry.id)
        ],
        "cells": [
            _cell(key, answer)
            for key, answer in sorted(baseline.known.answers.items(), key=lambda item: item[0])
        ],
    }
    lines = [f'"form": {FORM}', *(f'"{name}": [\n{_lines(items)}\n]' for name, items in parts.items())]
    write_whole(path, ("{\n" + ",\n".join(lines) + "\n}\n").encode())


def _lines(items: Sequence[object]) -> str:
    return ",\n".join(msgspec.json.encode(item).decode() for item in items)


def _cell(key: Key, answer: Answer) -> BaselineCell:
    record = answer.record
    return BaselineCell(
        key[0],
        record.experiment,
        record.status,
        answer.seen,
        record.variant,
        record.facts,
        record.reason,
        record.splats,
        answer.run,
    )


def _accepted(answer: Answer | None, now: Answer) -> bool:
    return answer is not None and answer.record.same_answer(now.record, reason=True)
