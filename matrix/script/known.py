"""Why tests of others fail on kernels on which nothing else is wrong: commits that a kernel lacks,
and defects of the tests (known.toml).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from matrix.analysis.ledger.contains import known_to_hold
from matrix.analysis.ledger.model import Commit, Ledger
from matrix.analysis.ledger.read import CommitEntry, checked, load
from vms.errors import UsageError
from vms.kernels.kernel import Build

FILE = Path(__file__).with_name("known.toml")


@dataclass(frozen=True)
class Cause:
    """Why a program may fail: for lack of a commit, or by a defect of its own."""

    commit: Commit | None = None
    defect: str = ""


@dataclass(frozen=True)
class Known:
    """The causes by program. `ledger` says what builds are known to lack."""

    causes: Mapping[str, tuple[Cause, ...]]
    ledger: Ledger

    def why(self, program: str, build: Build) -> list[str]:
        """Why the program may have failed on this build, a clause each."""
        said = []
        for cause in self.causes.get(program, ()):
            if cause.defect:
                said.append(f"a defect of the test: {cause.defect}")
            elif cause.commit and known_to_hold(build, cause.commit, self.ledger) is False:
                commit = cause.commit
                said.append(f"lacks {commit.title} ({commit.hash[:12]}, in mainline since {commit.mainline})")
        return said


class _Failure(msgspec.Struct, forbid_unknown_fields=True):
    program: str
    commit: str = ""
    defect: str = ""


class _File(msgspec.Struct, forbid_unknown_fields=True):
    commits: dict[str, CommitEntry]
    failure: list[_Failure]


def read_known(ledger: Ledger, file: Path = FILE) -> Known:
    """What the file knows. Raises UsageError, which names the entry, for the first mistake."""
    raw = load(file, _File)
    commits = {**ledger.commits, **checked(file, raw.commits)}
    causes: dict[str, tuple[Cause, ...]] = {}
    for entry in raw.failure:
        where = f"{file}: failure of {entry.program}"
        if bool(entry.commit) == bool(entry.defect):
            raise UsageError(f"{where}: give `commit` or `defect`")
        if entry.commit and entry.commit not in commits:
            raise UsageError(f"{where}: there is no commit {entry.commit!r}")
        cause = Cause(commits.get(entry.commit), entry.defect)
        causes[entry.program] = (*causes.get(entry.program, ()), cause)
    return Known(causes, ledger)
