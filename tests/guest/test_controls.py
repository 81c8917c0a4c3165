"""Facts of a real kernel change when something is taken from their experiment, as published."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest

from commands.project import CONTROLLED
from guest.catalogue import load
from guest.controls import UNDISTURBED
from matrix.analysis.controls import Controlled
from matrix.controls import Asked, read_controls, under
from matrix.run.machines import Machines
from tests.support.project import CONFIG, ROOT
from tests.support.specs import kernels_of, project_with
from vms.cache import Cache
from vms.kernels.catalogue import Catalogue

pytestmark = pytest.mark.guest
SAMPLE = {one.control: one for one in read_controls(CONTROLLED)}
"""One proof of each control."""


@pytest.fixture(scope="module")
def asked(cache: Cache) -> Iterator[Asked]:
    (kernel,) = kernels_of(["6.12"], Catalogue.load(CONFIG.debian, cache), ROOT)
    machines = Machines(project_with(cache, CONFIG.debian))
    machines.prepare([kernel])
    files = machines.fetch(kernel)
    with closing(Asked(kernel, lambda cpus: machines.template(files, cpus))) as asking:
        yield asking


@pytest.mark.parametrize("proof", SAMPLE.values(), ids=SAMPLE)
def test_a_control_changes_what_it_is_the_proof_of(asked: Asked, proof: Controlled) -> None:
    experiment = load()[proof.experiment]
    published, controlled = (
        asked(experiment, under(control, proof.variant)) for control in (UNDISTURBED, proof.control)
    )
    assert published.facts[proof.fact] == proof.published
    assert controlled.facts[proof.fact] != proof.published
