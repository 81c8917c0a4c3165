"""Writes docs/reliability.md from the tests: which fault was tried in which phase, and what came of
it.

A test that causes a fault says so:

    @pytest.mark.fault(phase="download", fault="disk full", outcome="one message, nothing is left")

The markers are read from the source, so nothing is imported or run. Renew the page with
`.venv/bin/python -m tests.support.reliability`.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.support.elsewhere import ELSEWHERE
from tests.support.project import ROOT

PAGE = ROOT / "docs" / "reliability.md"
PHASES = {
    "package lists": "what the archives have is fetched and verified",
    "download": "a kernel's packages are fetched and verified",
    "unpack": "packages, trees and images become a cache entry",
    "image": "the guests' userland is built",
    "initramfs": "what boots a kernel is made",
    "boot": "a kernel boots, and its guest is saved as a template",
    "cell": "a clone starts and answers",
    "results": "records, manifest and reports are written, and read again",
    "history": "a run is recorded in the database",
    "night": "nights are compared",
    "cache": "entries are used, listed and pruned",
    "workers": "guests run on other machines",
    "start": "the host and the files of the user are looked at",
}
"""Each phase of the tool's work, in order, and what happens in it."""

_HEAD = """\
# Reliability

What happens when something fails, phase by phase. Every row is a test, which causes the fault and
checks the outcome; this page is generated from them (`.venv/bin/python -m tests.support.reliability`).

"""


@dataclass(frozen=True)
class Fault:
    """One marker: the fault, the phase that it happens in, its outcome, and the test that causes
    it.
    """

    phase: str
    fault: str
    outcome: str
    path: Path
    test: str

    @property
    def on_guests(self) -> bool:
        """Whether the test boots real kernels."""
        return "guest" in self.path.relative_to(ROOT / "tests").parts[:1]


def find_faults(tests: Path) -> list[Fault]:
    """The faults of all tests below the directory, in the order of PHASES.

    Raises ValueError for a marker whose arguments are not the three strings or name another phase.
    """
    found = [fault for path in sorted(tests.rglob("test_*.py")) for fault in _faults_of(path)]
    order = list(PHASES)
    return sorted(found, key=lambda one: (order.index(one.phase), one.fault, str(one.path), one.test))


def page(faults: Sequence[Fault]) -> str:
    """The page in Markdown: which faults were tried in which phases, then each with its outcome."""
    phases = [phase for phase in PHASES if any(one.phase == phase for one in faults)]
    lines = [_HEAD + f"| | {' | '.join(phases)} |", "| --- |" + " :-: |" * len(phases)]
    for name in sorted({one.fault for one in faults}, key=str.lower):
        cells = (
            _tried([one for one in faults if (one.fault, one.phase) == (name, phase)]) for phase in phases
        )
        lines.append(f"| {name} | {' | '.join(cells)} |")
    lines.append("\n`+`: tested without guests. `G`: tested on real kernels. `-`: cannot happen there, or is")
    lines.append("the same as where it is tested; [why](#why-not-elsewhere) is said below for each fault.")
    for phase in phases:
        rows = [one for one in faults if one.phase == phase]
        lines += [f"\n## {phase.capitalize()}\n\nIn this phase {PHASES[phase]}.\n", *_table(rows)]
    lines += ["\n## Why not elsewhere\n", "| fault | in the phases with `-` |", "| --- | --- |"]
    lines += [f"| {name} | {ELSEWHERE[name]} |" for name in sorted(ELSEWHERE, key=str.lower)]
    return "\n".join(lines) + "\n"


def _tried(faults: Sequence[Fault]) -> str:
    real = any(one.on_guests for one in faults)
    return "G" if real else "+" if faults else "-"


def _table(faults: Iterable[Fault]) -> Iterator[str]:
    yield "| fault | outcome | test |"
    yield "| --- | --- | --- |"
    for one in faults:
        place = one.path.relative_to(ROOT)
        name = f"{one.path.stem.removeprefix('test_')}: {one.test.removeprefix('test_').replace('_', ' ')}"
        yield f"| {one.fault} | {one.outcome} | [{name}](../{place}) |"


def _faults_of(path: Path) -> Iterator[Fault]:
    for test in ast.walk(ast.parse(path.read_text())):
        if not isinstance(test, ast.FunctionDef) or not test.name.startswith("test_"):
            continue
        for decorator in test.decorator_list:
            for node in ast.walk(decorator):
                if isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.mark.fault":
                    yield _fault(node, path, test.name)


def _fault(call: ast.Call, path: Path, test: str) -> Fault:
    words = {word.arg: ast.literal_eval(word.value) for word in call.keywords}
    place = f"{path}:{call.lineno}"
    if call.args or words.keys() != {"phase", "fault", "outcome"}:
        raise ValueError(f"{place}: write fault(phase=..., fault=..., outcome=...)")
    if words["phase"] not in PHASES:
        raise ValueError(f"{place}: {words['phase']!r} is no phase; there are {', '.join(PHASES)}")
    return Fault(words["phase"], words["fault"], words["outcome"], path, test)


if __name__ == "__main__":
    PAGE.write_text(page(find_faults(ROOT / "tests")))
