"""A guest answers many cells, and whatever a cell leaves in it is noticed, on real kernels."""

from __future__ import annotations

import json
import secrets

import pytest

from matrix.plan.config import Config
from matrix.plan.project import Project
from matrix.run.cell import Question
from matrix.run.cell import ask as run
from matrix.run.guests import Guest, Template
from matrix.run.idle import idle
from matrix.run.machines import Machines
from tests.support.project import CONFIG, ROOT
from tests.support.specs import kernels_of
from vms.cache import Cache
from vms.deadline import Deadline
from vms.hardware import Hardware
from vms.kernels.catalogue import Catalogue

pytestmark = pytest.mark.guest
SERIES = ("5.10", "7.3")
TOLD = {
    "sysctl": "sysctl kernel/panic: 17, was ",
    "parameter": "parameter printk.time: N, was Y",
    "nft-rule": "nft rules: ",
    "legacy-rule": "iptables raw: ",
    "full-table": "sysctl net/netfilter/nf_conntrack_count: 50, was 0",
    "interface": "interface lo: 0x8, was 0x9",
    "process": "process: ",
    "mount": "mounts: + ",
    "network-namespace": "network namespace: ",
    "file": "files in /run: ",
    "taint": "sysctl kernel/tainted: 512, was 0",
    "memory": "memory: MemAvailable is ",
}


@pytest.fixture(scope="module")
def project(cache: Cache) -> Project:
    return Project(ROOT, Config(debian=CONFIG.debian, own_experiments="tests/guest/leaving"), cache)


@pytest.fixture(scope="module", params=SERIES)
def template(request: pytest.FixtureRequest, project: Project, cache: Cache) -> Template:
    kernels = kernels_of([request.param], Catalogue.load(CONFIG.debian, cache), ROOT)
    machines = Machines(project)
    machines.prepare(kernels)
    return machines.template(machines.fetch(kernels[0]), Hardware())


def ask(guest: Guest, name: str, **variant: str) -> dict[str, object]:
    question = Question(name, name, variant, 60)
    answer = guest.ask(question.line(secrets.token_hex(4)), Deadline(80, name))
    found: dict[str, object] = json.loads(answer.whole)
    assert found["outcome"] == "answered", found
    return found


def settle(guest: Guest) -> list[str]:
    answer = guest.ask(json.dumps({"id": "settle", "do": "settle"}).encode(), Deadline(60, "settling"))
    left: list[str] = json.loads(answer.whole)["left"]
    return left


@pytest.mark.parametrize("kind", TOLD)
def test_what_a_cell_leaves_is_told(template: Template, kind: str) -> None:
    with template.start() as guest:
        ask(guest, "leaving", kind=kind, scope="root")
        left = settle(guest)
        assert any(line.startswith(TOLD[kind]) for line in left), left


def test_what_a_cell_may_do_is_undone(template: Template) -> None:
    with template.start() as guest:
        for _ in range(3):
            ask(guest, "tidied", scope="root")
            assert settle(guest) == []


def test_ordinary_cells_leave_nothing(template: Template) -> None:
    with template.start() as guest:
        for scope in ("root", "user") * 3:
            ask(guest, "table-full", family="ipv4", frontend="legacy", scope=scope)
            assert settle(guest) == []


@pytest.mark.parametrize("kind", ["nothing", *TOLD])
def test_the_cell_after_one_that_left_something_has_a_new_guest(template: Template, kind: str) -> None:
    try:
        first, second = (
            run(template, Question(name, name, variant, 60, own=False))
            for name, variant in (
                ("leaving", {"kind": kind, "scope": "root"}),
                ("table-full", {"family": "ipv4", "frontend": "legacy", "scope": "root"}),
            )
        )
    finally:
        idle.end_all()
    assert bool(first.asked.left) == (kind != "nothing")
    assert second.asked.place == (2 if kind == "nothing" else 1)
    assert second.answer is not None
    facts = json.loads(second.answer.whole)["facts"]
    assert [facts[name] for name in ("packets", "flows", "raw_packets", "mangle_packets")] == [10, 7, 10, 7]
