"""Guests through virtme-ng, with this host's userland, answer the seed's six questions as guests
with the image do.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from guest.catalogue import load
from matrix.plan.plan import Cell, cell_label, plan_choices, variant_name
from matrix.plan.selection import choose
from matrix.run.cell import Question, ask
from matrix.run.idle import idle
from matrix.run.machines import Machines
from matrix.run.virtme import VirtmeMachines
from tests.support.specs import kernels_of, project_with
from vms.cache import Cache
from vms.hardware import Hardware
from vms.kernels.catalogue import Catalogue
from vms.settings import Debian

pytestmark = pytest.mark.guest
SEED = ("baseline", "table-full", "policy-counters", "conntrack-on-reference", "raw-socket-loopback")
# It must be alone, and so takes a boot for each cell: one of its eight.
ALONE = "syn-flood-listener[table=full,frontend=nft,scope=root]"

Answers = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def cells(cache: Cache) -> tuple[Cell, ...]:
    kernels = kernels_of(["6.12-generic"], Catalogue.load(Debian(), cache))
    return plan_choices(kernels, choose([*SEED, ALONE], load())).cells


@pytest.fixture(scope="module")
def with_the_image(cache: Cache, cells: tuple[Cell, ...]) -> Answers:
    return answers(Machines(project_with(cache)), cells)


@pytest.fixture(scope="module")
def with_the_host(cache: Cache, cells: tuple[Cell, ...]) -> Iterator[Answers]:
    """What guests with the host's userland answer. The cache is in the host's /tmp."""
    with tempfile.TemporaryDirectory(dir="/tmp") as directory:
        link = Path(directory, "cache")
        link.symlink_to(cache.root)
        yield answers(VirtmeMachines(project_with(Cache(link))), cells)


def answers(machines: Machines | VirtmeMachines, cells: tuple[Cell, ...]) -> Answers:
    """What is answered to each cell; one guest answers all that need not be alone."""
    template = machines.template(machines.fetch(cells[0].kernel), Hardware())
    found: Answers = {}
    shared = 0
    try:
        for cell in sorted(cells, key=lambda cell: bool(cell.experiment.alone)):
            outcome = ask(template, Question.of(cell, own=False))
            assert outcome.answer, outcome.lost
            assert outcome.asked.left == ()
            shared += not cell.experiment.alone
            # Nothing is left, so the guest goes on answering.
            assert outcome.asked.place == (1 if cell.experiment.alone else shared)
            found[cell_label(cell.experiment.name, variant_name(cell.variant))] = json.loads(
                outcome.answer.whole
            )
    finally:
        idle.end_all()
    return found


def told(answer: dict[str, Any]) -> list[Any]:
    """How an answer ended, and what it says."""
    return [answer["outcome"], answer.get("facts"), answer.get("reason")]


def test_the_hosts_userland_answers_the_seeds_questions_as_the_image_does(
    with_the_host: Answers, with_the_image: Answers
) -> None:
    assert len(with_the_host) == 8 + 8 + 4 + 4 + 4 + 1
    assert {answer["outcome"] for answer in with_the_host.values()} == {"answered"}
    assert with_the_host.keys() == with_the_image.keys()
    for label, answer in with_the_image.items():
        assert told(with_the_host[label]) == told(answer), label
