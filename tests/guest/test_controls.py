"""Facts of a real kernel change when something is taken from their experiment."""

from __future__ import annotations

import pytest

from guest.catalogue import load
from matrix.analysis.controls import changed
from matrix.controls import UNDISTURBED, controlled
from matrix.plan.plan import Choice, plan_choices
from matrix.results.judge import verdict
from matrix.run.cell import Question, ask
from matrix.run.machines import Machines
from tests.support.project import CONFIG, ROOT
from tests.support.specs import kernels_of, project_with
from vms.cache import Cache
from vms.kernels.catalogue import Catalogue

pytestmark = pytest.mark.guest
SAMPLE = {
    "generic-timeouts": {("lifetimes", "untracked"), ("lifetimes", "lost"), ("answered", "flushed")},
    "notrack": {("states", "no-rules"), ("source", "no-rules")},
    "syn-retransmit-no-renew": {("state", "flushed"), ("forwarded", "untracked")},
    "max-retrans": {("read_back", "no-settings"), ("after", "twice")},
}
"""By experiment, facts and controls that change them; `./invoke controls -k 6.12` asks all."""


@pytest.mark.parametrize("name", SAMPLE)
def test_a_control_changes_what_it_takes_the_cause_from(cache: Cache, name: str) -> None:
    kernels = kernels_of(["6.12"], Catalogue.load(CONFIG.debian, cache), ROOT)
    machines = Machines(project_with(cache, CONFIG.debian))
    machines.prepare(kernels)
    template = machines.template(machines.fetch(kernels[0]), 1)
    experiment = load()[name]
    plan = plan_choices(kernels, controlled([Choice(experiment, tuple(experiment.combinations()))]))
    records = []
    for cell in plan.cells:
        question = Question(name, name, dict(cell.variant), experiment.seconds)
        records.append(verdict(cell, ask(template, question), 1).record)
    published = next(record for record in records if record.variant["control"] == UNDISTURBED)
    assert published.facts
    differing = {
        (one.fact, record.variant["control"])
        for record in records
        for one in changed([published, record], UNDISTURBED)
    }
    assert SAMPLE[name] <= differing
