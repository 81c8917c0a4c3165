"""The same kernel answers the same: twenty times over, in any order, while other guests keep the
machine busy.
"""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor

import pytest

from guest.catalogue import load
from matrix.plan.plan import Cell, make_plan
from matrix.results.judge import verdict
from matrix.results.record import Record, Status
from matrix.run.cell import Question, ask
from matrix.run.machines import Machines
from tests.support.project import CONFIG, ROOT
from tests.support.specs import kernels_of, project_with
from vms.cache import Cache
from vms.hardware import Hardware
from vms.kernels.catalogue import Catalogue

pytestmark = pytest.mark.guest
REPETITIONS = 20
# cells of the catalogue between two that are taken; a whole catalogue twenty times over would take
# an hour
EVERY = 23
AT_ONCE = 3  # more than there are processors where this usually runs, so that every guest is disturbed


@pytest.fixture(scope="module")
def answers(cache: Cache) -> dict[tuple[str, str, str], list[Record]]:
    kernels = kernels_of(["6.12"], Catalogue.load(CONFIG.debian, cache), ROOT)
    every = make_plan(kernels, tuple(load().values())).cells
    cells = [cell for cell in every if cell.hardware == Hardware()][::EVERY]
    machines = Machines(project_with(cache, CONFIG.debian))
    machines.prepare(kernels)
    template = machines.template(machines.fetch(kernels[0]), Hardware())

    def once(cell: Cell) -> Record:
        return verdict(cell, ask(template, Question.of(cell, own=True)), 1).record

    asked = cells * REPETITIONS
    random.Random(20).shuffle(asked)
    with ThreadPoolExecutor(AT_ONCE) as executor:
        records = list(executor.map(once, asked))
    found: dict[tuple[str, str, str], list[Record]] = {}
    for cell, record in zip(asked, records, strict=True):
        found.setdefault(cell.key, []).append(record)
    return found


def test_cells_are_sampled_from_several_topics(answers: dict[tuple[str, str, str], list[Record]]) -> None:
    topics = {load()[experiment].topic for _, experiment, _ in answers}
    assert len(topics) >= 4
    assert {len(records) for records in answers.values()} == {REPETITIONS}


def test_twenty_answers_are_one(answers: dict[tuple[str, str, str], list[Record]]) -> None:
    for key, records in answers.items():
        assert {record.status for record in records} <= {Status.PASS, Status.UNSUPPORTED}, (
            key,
            [record.reason for record in records],
        )
        assert all(
            (record.status, record.facts) == (records[0].status, records[0].facts) for record in records
        ), key
