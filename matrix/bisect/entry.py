"""Writes what a bisection found into the ledger: that a commit changes the fact."""

from __future__ import annotations

import json
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path

from matrix.analysis.ledger.contains import contains
from matrix.analysis.ledger.explain import Verdict, explain
from matrix.analysis.ledger.model import Commit, Confirmed, Ledger
from matrix.analysis.ledger.read import read_ledger
from matrix.bisect.outcome import Bisection, Interval
from matrix.results.record import FactValue
from vms.errors import UsageError
from vms.files import write_whole
from vms.kernels.order import release_key, series_of

_COMMITS, _CHANGES = "commits.toml", "changes.toml"
_DEBIAN = "debian"
_WORDS = re.compile(r"(?P<key>[a-z0-9-]{1,60})(=(?P<mainline>\d+\.\d+(~rc\d+)?|debian) (?P<title>\S.*))?")


@dataclass(frozen=True)
class EntryCommit:
    """The commit that the user names for an entry: one of the ledger, or a new one with its first
    mainline release (`debian` for a change by Debian) and its title.
    """

    key: str
    mainline: str = ""
    title: str = ""


def parse_commit(text: str) -> EntryCommit:
    """The commit that `KEY` or `KEY=MAINLINE TITLE` names. Raises UsageError."""
    found = _WORDS.fullmatch(text)
    if not found:
        raise UsageError(
            f"--entry {text!r}: give the key of a commit in the ledger, or for another one its key, its"
            " first mainline release (`debian` for a change by Debian) and its title, for example"
            " 'max-zero=6.19 netfilter: conntrack: disable 0 value for conntrack_max setting'"
        )
    return EntryCommit(found["key"], found["mainline"] or "", found["title"] or "")


def write_entry(found: Bisection, named: EntryCommit, directory: Path) -> Commit:
    """Adds to the ledger in the directory that the commit made the change that was found, and
    returns the commit.

    A new commit, and the release in which a known one is found to be, is marked `bisected`. Raises
    UsageError if the ledger explains the change already, or would not do so with the entry.
    """
    ledger, interval = read_ledger(directory), found.intervals[found.found]
    if interval.explained is Verdict.EXPLAINED:
        keys = ", ".join(commit.key for commit in interval.commits)
        raise UsageError(f"--entry: the ledger explains this change already, by {keys}")
    commits = (directory / _COMMITS).read_text(encoding="utf-8")
    known = ledger.commits.get(named.key)
    if known and named.title:
        raise UsageError(f"--entry: {named.key} is in the ledger; give its key alone")
    if not known and not named.title:
        raise UsageError(
            f"--entry: there is no commit {named.key!r} in the ledger; give its first mainline release"
            f" and its title as well: '{named.key}=MAINLINE TITLE'"
        )
    commits = (
        _backported(commits, known, interval, ledger) if known else commits + _new(named, found, interval)
    )
    lost = known is not None and contains(interval.left.build, known, ledger.read) is True
    changes = (directory / _CHANGES).read_text(encoding="utf-8") + _change(
        named.key, found, interval, lost=lost
    )
    made = _checked(commits, changes, found, interval, named.key)
    # In this order: a change names a commit, which has to be there.
    write_whole(directory / _COMMITS, commits.encode())
    write_whole(directory / _CHANGES, changes.encode())
    return made.commits[named.key]


def _checked(commits: str, changes: str, found: Bisection, interval: Interval, key: str) -> Ledger:
    """The ledger as it will be. Raises UsageError unless it explains the change that was found."""
    with tempfile.TemporaryDirectory() as staged:
        for name, text in ((_COMMITS, commits), (_CHANGES, changes)):
            (Path(staged) / name).write_text(text, encoding="utf-8")
        made = read_ledger(Path(staged))
    left, right = interval.left, interval.right
    said = explain(
        made, found.experiment, found.variant, found.fact, left.build, left.value, right.build, right.value
    )
    if said.verdict is not Verdict.EXPLAINED:
        raise UsageError(
            f"--entry: with {key} the ledger would not explain this change: as far as it knows,"
            f" {left.build.version} and {right.build.version} do not differ in that commit"
        )
    return made


def _backported(commits: str, commit: Commit, interval: Interval, ledger: Ledger) -> str:
    """The text with the right build's release as one that holds the commit, unless the ledger has
    that, or the left build holds it.
    """
    left, right = interval.left.build, interval.right.build
    if contains(left, commit, ledger.read) or contains(right, commit, ledger.read):
        return commits
    if not commit.mainline or release_key(right.series) >= release_key(series_of(commit.mainline)):
        return commits
    section = re.compile(rf"^\[commits\.{re.escape(commit.key)}\]\n(?:(?!\[).*\n)*", re.MULTILINE)
    (body,) = section.findall(commits)
    releases = sorted({*commit.backports, right.release}, key=release_key)
    line = f"backports = {json.dumps(releases)}\n"
    changed = re.sub(r"^backports = .*\n", "", body, flags=re.MULTILINE)
    changed = re.sub(r"^mainline = .*\n", lambda found: found[0] + line, changed, flags=re.MULTILINE)
    changed = re.sub(r"^confirmed = .*$", f'confirmed = "{Confirmed.BISECTED}"', changed, flags=re.MULTILINE)
    return commits.replace(body, changed)


def _new(named: EntryCommit, found: Bisection, interval: Interval) -> str:
    right = interval.right.build
    lines = [f"[commits.{named.key}]", f"title = {_toml(named.title)}"]
    if named.mainline == _DEBIAN:
        lines.append(f"distribution = {_toml([right.version])}")
    else:
        lines.append(f"mainline = {_toml(named.mainline)}")
        if release_key(right.series) < release_key(series_of(named.mainline)):
            lines.append(f"backports = {_toml([right.release])}")
    sentence = f"{found.experiment}: {found.meaning.rstrip('.')} is another."
    lines += [f'confirmed = "{Confirmed.BISECTED}"', f"sentence = {_toml(sentence)}"]
    return "\n" + "\n".join(lines) + "\n"


def _change(key: str, found: Bisection, interval: Interval, *, lost: bool) -> str:
    """The entry; the left value is that without the commit, unless the right build lost it."""
    without, held = (interval.right, interval.left) if lost else (interval.left, interval.right)
    lines = ["[[change]]", f"experiment = {_toml(found.experiment)}"]
    if found.variant:
        lines.append(f"variant = {_toml(found.variant)}")
    lines.append(f"fact = {_toml(found.fact)}")
    for name, value in (("before", without.value), ("after", held.value)):
        if value is not None:
            lines.append(f"{name} = {_toml(value)}")
    return "\n" + "\n".join([*lines, f"commit = {_toml(key)}"]) + "\n"


def _toml(value: FactValue | dict[str, str]) -> str:
    """The value as TOML, of which JSON's texts, numbers and lists are a part."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{json.dumps(key)} = {_toml(one)}" for key, one in value.items()) + " }"
    return json.dumps(value, ensure_ascii=False)
