"""Reads and checks the ledger's two files; errors name the entry."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from matrix.analysis.ledger.model import Change, Commit, Confirmed, Ledger
from matrix.results.record import FactValue
from vms.errors import UsageError
from vms.kernels.order import release_key, series_of

HERE = Path(__file__).parent


class CommitEntry(msgspec.Struct, forbid_unknown_fields=True):
    """A commit as a file describes it."""

    title: str
    confirmed: Confirmed
    sentence: str
    hash: str = ""
    mainline: str = ""
    backports: tuple[str, ...] = ()
    distribution: tuple[str, ...] = ()
    reference: str = ""
    unexercised: str = ""


class _Commits(msgspec.Struct, forbid_unknown_fields=True):
    surveyed: dict[str, str]
    commits: dict[str, CommitEntry]
    seen: dict[str, str] = {}


class _Change(msgspec.Struct, forbid_unknown_fields=True):
    experiment: str
    commit: str
    fact: str = ""
    item: str = ""
    before: FactValue | None = None
    after: FactValue | None = None
    variant: dict[str, str] = {}
    besides: tuple[str, ...] = ()


class _Changes(msgspec.Struct, forbid_unknown_fields=True):
    change: list[_Change] = []


def read_ledger(directory: Path = HERE) -> Ledger:
    """The ledger in a directory.

    Raises UsageError, which names the file and the entry, for the first mistake.
    """
    file = directory / "commits.toml"
    raw = load(file, _Commits)
    commits = checked(file, raw.commits)
    changes = tuple(
        _change(entry, f"{directory / 'changes.toml'}: entry {number}, {entry.experiment}", commits)
        for number, entry in enumerate(load(directory / "changes.toml", _Changes).change, 1)
    )
    return Ledger(commits, changes, raw.surveyed, raw.seen)


def checked(file: Path, entries: Mapping[str, CommitEntry]) -> Mapping[str, Commit]:
    """The commits of a file. Raises UsageError, which names file and commit, for the first
    mistake.
    """
    commits = {key: Commit(key=key, **msgspec.structs.asdict(entry)) for key, entry in entries.items()}
    for commit in commits.values():
        if problem := _problem(commit):
            raise UsageError(f"{file}: {commit.key}: {problem}")
    return commits


def load(path: Path, kind: Any) -> Any:
    """A TOML file as this type. Raises UsageError that names the file and what is wrong."""
    try:
        return msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), kind)
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise UsageError(f"{path}: {error}") from error


def _problem(commit: Commit) -> str:
    if not re.fullmatch(r"([0-9a-f]{12,40})?", commit.hash):
        return f"{commit.hash!r} is not a hash of 12 to 40 digits; leave `hash` out if it could not be found"
    if bool(commit.mainline) == bool(commit.distribution):
        return "give `mainline`, the first release that has it, or for a change by Debian `distribution`"
    if not commit.sentence.endswith("."):
        return "`sentence` must be a sentence for the user that ends with a full stop"
    for release in commit.backports:
        if release_key(series_of(release)) >= release_key(series_of(commit.mainline)):
            return f"{release} is not a backport: its series has the commit since {commit.mainline}"
    return ""


def _change(entry: _Change, where: str, commits: Mapping[str, Commit]) -> Change:
    for key in (entry.commit, *entry.besides):
        if key not in commits:
            raise UsageError(f"{where}: there is no commit {key!r}")
    if type(entry.before) is type(entry.after) and entry.before == entry.after:
        raise UsageError(f"{where}: before and after are both {entry.before!r}")
    if entry.item and not entry.fact:
        raise UsageError(f"{where}: item {entry.item!r} without `fact`")
    return Change(
        entry.experiment,
        commits[entry.commit],
        entry.fact,
        entry.item,
        entry.before,
        entry.after,
        entry.variant,
        tuple(commits[key] for key in entry.besides),
    )
