"""A cell of a run on one real kernel, asked again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from guest.catalogue import load
from matrix.analysis.ledger.read import read_ledger
from matrix.invocation import RunRequest, run_matrix
from matrix.plan.plan import plan_choices
from matrix.plan.selection import choose
from matrix.replay import find_cell, replay
from matrix.run.machines import Machines
from tests.support.fakes import Seen
from tests.support.project import CONFIG, ROOT
from tests.support.specs import kernels_of, project_with
from vms.cache import Cache
from vms.kernels.catalogue import Catalogue

pytestmark = pytest.mark.guest


def test_a_cell_asked_again_has_the_same_facts_and_another_answer_is_noticed(
    cache: Cache, tmp_path: Path
) -> None:
    catalogue = load()
    builds = Catalogue.load(CONFIG.debian, cache)
    plan = plan_choices(kernels_of(["6.12"], builds, ROOT), choose(["max-zero"], catalogue))
    machines = Machines(project_with(cache, CONFIG.debian))
    request = RunRequest(plan, catalogue, read_ledger(), machines, tmp_path, 1, ("matrix",), Seen())
    run = run_matrix(request).run
    cell = plan.cells[0]
    asked = find_cell(tmp_path, run.name, "/".join(filter(None, cell.key)))
    (kernel,) = kernels_of([asked.spec], builds, ROOT)
    done = replay(asked, asked.cell(kernel, catalogue), machines)
    assert (done.exit_code, done.changed, list(done.differences)) == (0, (), [])
    false = replace(asked, record=replace(asked.record, facts={**asked.record.facts, "write": {"0": 77}}))
    other = replay(false, cell, machines)
    assert (other.exit_code, [name for name, *_ in other.differences]) == (1, ["write"])
