"""Runs of two kernels, and what an upgrade from the one to the other changes."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from matrix.analysis.answers import read_answers
from matrix.analysis.ledger.model import Change as Entry
from matrix.analysis.ledger.model import Commit, Confirmed, Ledger
from matrix.analysis.upgrade import UpgradeReport, upgrade
from matrix.results.manifest import KernelEntry, Manifest
from matrix.results.record import FactValue, Record, Status
from tests.support.fakes import SURROUNDINGS, make_experiment

LEFT, RIGHT = "6.1.9", "6.12.9"
FASTER = Commit(
    "faster", "netfilter: go faster", Confirmed.SOURCE, "Flows are found faster.", "aaaaaaaaaaaa", "6.5"
)
FIX = Commit(
    "fix",
    "netfilter: count right",
    Confirmed.CHANGELOG,
    "Drops are counted right.",
    "bbbbbbbbbbbb",
    "7.0",
    ("6.1.8",),
)
QUIET = Commit("quiet", "netfilter: say less", Confirmed.SOURCE, "Less is logged.", "cccccccccccc", "6.8")
LEDGER = Ledger(
    {commit.key: commit for commit in (FASTER, FIX, QUIET)},
    (Entry("lookup", FASTER, "steps", before=9, after=3), Entry("drops", FIX, "counted", before=0, after=5)),
    {"6.1": "6.1.9", "6.12": "6.12.9"},
)
FACTS: dict[str, dict[str, type]] = {
    "lookup": {"steps": int},
    "drops": {"counted": int},
    "tun": {"flows": int},
    "odd": {"word": str},
}
CATALOGUE = {
    name: make_experiment(name, facts, variants={"scope": ("root", "user")}) for name, facts in FACTS.items()
}


def save(results: Path, day: int, *records: Record) -> None:
    kernels = tuple(
        KernelEntry(name, f"debian:{name}", name.rpartition(".")[0], name, "cloud", f"{name}-1", "sid")
        for name in (LEFT, RIGHT, "6.12.8")
    )
    run = results / f"run-{day}"
    (run / "cells").mkdir(parents=True)
    manifest = Manifest(
        run.name,
        "plan",
        f"2026-11-{day:02}T02:00:00+00:00",
        (),
        1,
        (),
        kernels,
        SURROUNDINGS,
        "2026-11-30T03:00:00+00:00",
    )
    (run / "manifest.json").write_bytes(msgspec.json.encode(manifest))
    (run / "results.json").write_bytes(msgspec.json.encode(records))


def cell(
    kernel: str, experiment: str, status: Status = Status.PASS, scope: str = "root", **facts: FactValue
) -> Record:
    return Record(
        kernel,
        experiment,
        {"scope": scope},
        status,
        dict(facts),
        "the kernel's words" if status is not Status.PASS else "",
    )


def report(results: Path, *records: Record) -> UpgradeReport:
    save(results, 1, *records)
    answers = read_answers(results, pytest.fail)
    return upgrade(answers, answers.pick("6.1"), answers.pick("6.12"), LEDGER, CATALOGUE)
