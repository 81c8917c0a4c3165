from __future__ import annotations

from typing import cast

import pytest

from bench.cells import CLONES, in_one_guest
from matrix.run.cell import Question
from matrix.run.idle import idle
from tests.support.fakes import FakeTemplate, answer
from vms.boot import Boot
from vms.errors import HostError
from vms.template import Template

ASKED = Question("nothing", "nothing", {}, 60)


def template(left: list[str]) -> FakeTemplate:
    return FakeTemplate(
        "6.12.1", lambda _kernel, request: answer(request), lambda _cells: left, [], [], Boot()
    )


def test_one_guest_answers_all_cells_of_the_measurement_and_is_ended() -> None:
    measured = template([])
    assert in_one_guest(cast("Template", measured), ASKED) > 0
    assert len(measured.most) == 1
    assert measured.running == []
    assert len(idle) == 0


def test_there_is_no_figure_for_a_guest_that_could_not_go_on() -> None:
    measured = template(["file /tmp/x: new"])
    with pytest.raises(HostError, match="nothing left something in its guest: file /tmp/x: new"):
        in_one_guest(cast("Template", measured), ASKED)
    assert len(measured.most) == CLONES
