"""An experiment of one real kernel, changed while it is watched."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from guest import catalogue
from guest.experiments import table
from matrix.plan.project import Project
from matrix.run.machines import Machines
from matrix.watch import Watch, Watched
from tests.support.project import ROOT

pytestmark = pytest.mark.guest


def test_a_changed_text_is_asked_in_a_guest_that_has_another(tmp_path: Path) -> None:
    catalogue.load()
    original = Path(table.__file__).read_text()
    file = tmp_path / "table.py"
    file.write_text(original)
    project = Project.open(ROOT)
    kernels = project.select(project.specs(["6.12"])).kernels
    watched = Watched(("max-zero",), table.__name__, file)
    with closing(Watch(watched, kernels, Machines(project), 1).turns()) as turns:
        (first,) = next(turns).records.values()
        assert first.facts["flows"] == {"0": 20, "-1": 10, "1": 1}
        file.write_text(original.replace("_datagrams(20)", "_datagrams(3)"))
        (second,) = next(turns).records.values()
        assert second.facts == first.facts | {"flows": {"0": 3, "-1": 3, "1": 1}}
        begins = original.index("def max_zero")
        broken = original[:begins] + original[begins:].replace("lab.new_namespace()", "lab.no_such_word()", 1)
        file.write_text(broken)
        (third,) = next(turns).records.values()
        line = broken[: broken.index("no_such_word")].count("\n") + 1
        assert f'File "{file}", line {line}' in third.reason
        assert "place = lab.no_such_word()" in third.reason
    assert (second.asked.guest, second.asked.place) == (first.asked.guest, 2)
