"""Guests through virtme-ng, with this host's userland, answer what guests with the image do."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import ExitStack

import msgspec
import pytest

from guest.catalogue import load
from matrix.plan.plan import Cell, plan_choices
from matrix.plan.selection import choose
from matrix.run.cell import Question, ask
from matrix.run.idle import idle
from matrix.run.machines import Machines
from matrix.run.virtme import VirtmeMachines
from tests.support.small_kernel import LOCAL_VERSION, small_kernel
from tests.support.specs import kernels_of, project_with
from vms.cache import Cache
from vms.deadline import Deadline
from vms.hardware import Hardware
from vms.kernels.catalogue import Catalogue
from vms.settings import Debian

pytestmark = pytest.mark.guest
ASKED = (
    "baseline[family=ipv4,frontend=legacy,scope=user]",
    "baseline[family=ipv6,frontend=nft,scope=root]",
    "table-full[family=ipv4,frontend=legacy,scope=root]",
)


@pytest.fixture(scope="module")
def cells(cache: Cache) -> tuple[Cell, ...]:
    kernels = kernels_of(["6.12-generic"], Catalogue.load(Debian(), cache))
    return plan_choices(kernels, choose(ASKED, load())).cells


@pytest.fixture(autouse=True)
def ended() -> Iterator[None]:
    yield
    idle.end_all()


def answers(machines: Machines | VirtmeMachines, cells: tuple[Cell, ...]) -> list[list[object]]:
    """What one guest answers to all cells."""
    template = machines.template(machines.fetch(cells[0].kernel), Hardware())
    found = []
    for number, cell in enumerate(cells, 1):
        outcome = ask(template, Question.of(cell, own=False))
        assert outcome.answer, outcome.lost
        assert outcome.asked.left == ()
        assert outcome.asked.place == number  # nothing is left, so the guest goes on answering
        whole = json.loads(outcome.answer.whole)
        found.append([whole["outcome"], whole.get("facts"), whole.get("reason")])
    return found


def test_the_hosts_userland_answers_as_the_image_does(cache: Cache, cells: tuple[Cell, ...]) -> None:
    project = project_with(cache)
    found = answers(VirtmeMachines(project), cells)
    assert [outcome for outcome, _, _ in found] == ["answered"] * len(ASKED)
    assert found == answers(Machines(project), cells)


def test_a_kernel_tree_is_booted_with_the_hosts_userland(cache: Cache) -> None:
    (kernel,) = kernels_of([f"mine=tree:{small_kernel(cache)}"], Catalogue(()))
    machines = VirtmeMachines(project_with(cache))
    assert machines.prepare([kernel]).backend == "virtme"
    ping = {"id": "1", "do": "ping", "time": time.time(), "entropy": os.urandom(32).hex()}
    with ExitStack() as ended:
        guest = ended.enter_context(machines.template(machines.fetch(kernel), Hardware()).start())
        answer = guest.ask(msgspec.json.encode(ping), Deadline(60, "the answer"))
    assert json.loads(answer.whole)["release"].endswith(LOCAL_VERSION)
