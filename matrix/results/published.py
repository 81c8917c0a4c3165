"""The record: what many builds answered, kept in git for readers, without evidence.

    results/reference/manifest.json       all builds together, as if one run had asked them
                      answers.json        every answer, once, however many builds gave it
                      builds/<build>.json the manifest of one build, and which answers it gave

A build whose file the manifest does not name is not part of the record. So files can be written one
after the other: answers first, the manifest last.
"""

from __future__ import annotations

import copy
import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import msgspec

from matrix.plan.plan import variant_name
from matrix.results.decode import read_file
from matrix.results.manifest import KernelEntry, Manifest
from matrix.results.record import FactValue, Record, Status
from vms.errors import UsageError
from vms.files import write_whole
from vms.splats import Splat

_ANSWERS = "answers.json"
_BUILDS = "builds"
_DIGITS = 12


@dataclass(frozen=True)
class Published:
    """What one build answered.

    `manifest` is of the run that last asked it something, and has this build as its only kernel.
    `code` has a digest of each experiment as it was asked (`matrix.plan.code.question_digests`).
    """

    manifest: Manifest
    records: tuple[Record, ...]
    code: Mapping[str, str] = field(default_factory=dict)

    @property
    def kernel(self) -> KernelEntry:
        """The build."""
        return self.manifest.kernels[0]


class PublishedAnswer(msgspec.Struct, kw_only=True, omit_defaults=True):
    """An answer as answers.json has it: a `Record` without its kernel, and without evidence."""

    id: str
    experiment: str
    variant: dict[str, str] = {}
    status: Status
    facts: dict[str, FactValue] = {}
    reason: str = ""
    splats: tuple[Splat, ...] = ()


class PublishedBuild(msgspec.Struct):
    """The file of one build. `code` is that of `Published`; `seconds` says how long each of its
    answers took, by the answer's id.
    """

    manifest: Manifest
    code: dict[str, str]
    seconds: dict[str, float]


class _Seconds(msgspec.Struct):
    seconds: dict[str, float]


def is_published(run: Path) -> bool:
    """Whether the directory holds a record, not a run."""
    return (run / _ANSWERS).is_file()


def read_published(run: Path, manifest: Manifest) -> tuple[Published, ...]:
    """What each build of the record answered, in the order of its manifest, by whose names the
    builds go.

    Raises OSError, or UsageError if a file is damaged or of another schema.
    """
    answers = {
        answer.id: Record(
            "",
            answer.experiment,
            answer.variant,
            answer.status,
            answer.facts,
            answer.reason,
            splats=answer.splats,
        )
        for answer in _answers(run).values()
    }
    return tuple(_read(run, entry, answers) for entry in manifest.kernels)


def read_seconds(run: Path) -> list[tuple[str, dict[str, str], float]]:
    """How long each answer of the record took, with its experiment and variant. Raises as
    `read_published`.
    """
    answers = _answers(run)
    return [
        (answers[key].experiment, answers[key].variant, seconds)
        for path in (run / _BUILDS).glob("*.json")
        for key, seconds in read_file(run, path, _Seconds).seconds.items()
        if key in answers
    ]


def _read(run: Path, entry: KernelEntry, answers: Mapping[str, Record]) -> Published:
    path = run / _BUILDS / _file_name(entry)
    build = read_file(run, path, PublishedBuild)
    if unknown := build.seconds.keys() - answers.keys():
        raise UsageError(
            f"{path} names the answer {min(unknown)[:64]!r}, which {run / _ANSWERS} does not have; restore"
            " both from a copy"
        )
    records = tuple(_given(answers[key], entry.name, seconds) for key, seconds in build.seconds.items())
    return Published(replace(build.manifest, kernels=(entry,)), records, build.code)


def _given(answer: Record, kernel: str, seconds: float) -> Record:
    """The answer as this kernel's. Its texts are bounded and clean, and are not looked at again for
    each of the builds that gave it.
    """
    record = copy.copy(answer)
    object.__setattr__(record, "kernel", kernel)
    object.__setattr__(record, "seconds", seconds)
    return record


def write_published(run: Path, manifest: Manifest, builds: Sequence[Published]) -> None:
    """Writes a record. `manifest` names all builds; a reader sees what was there before, or all of
    it, whenever the writing ends.
    """
    answers, made = {}, {}
    for build in builds:
        given = {}
        for record in build.records:
            answer = _answer(record)
            answers[answer.id] = answer
            given[answer.id] = record.seconds
        whole = PublishedBuild(build.manifest, dict(build.code), given)
        made[_file_name(build.kernel)] = msgspec.json.format(msgspec.json.encode(whole), indent=1) + b"\n"
    # what the files of the builds may still name
    earlier = _answers(run) if is_published(run) else {}
    _write_answers(run, (earlier | answers).values())
    for name, content in made.items():
        path = run / _BUILDS / name
        if not path.is_file() or path.read_bytes() != content:
            write_whole(path, content)
    write_whole(run / "manifest.json", msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n")
    if earlier.keys() - answers.keys():
        _write_answers(run, answers.values())


def _answers(run: Path) -> dict[str, PublishedAnswer]:
    """The answers of the record, by their ids."""
    return {answer.id: answer for answer in read_file(run, run / _ANSWERS, list[PublishedAnswer])}


def _write_answers(run: Path, answers: Iterable[PublishedAnswer]) -> None:
    ordered = sorted(answers, key=lambda one: (one.experiment, variant_name(one.variant), one.id))
    write_whole(run / _ANSWERS, b"[\n" + b",\n".join(map(msgspec.json.encode, ordered)) + b"\n]\n")


def _answer(record: Record) -> PublishedAnswer:
    answer = PublishedAnswer(
        id="",
        experiment=record.experiment,
        variant=record.variant,
        status=record.status,
        facts=record.facts,
        reason=record.reason,
        splats=record.splats,
    )
    answer.id = hashlib.sha256(msgspec.json.encode(answer, order="sorted")).hexdigest()[:_DIGITS]
    return answer


def _file_name(entry: KernelEntry) -> str:
    """The same for a build whatever others there are, unlike its name. Of a build without a version
    in an archive the id may be a path.
    """
    plain = re.sub(r"[^A-Za-z0-9.+~-]", "-", f"{entry.version}.{entry.flavour}")
    return f"{plain}.json"
