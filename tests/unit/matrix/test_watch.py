from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from guest import catalogue
from guest.catalogue import Source
from matrix.plan.plan import Choice
from matrix.report.text.watched import print_turn
from matrix.watch import Turn, Watch, Watched
from tests.support.fakes import FakeGuests, answer, make_experiment, make_kernel
from vms.answer import Answer
from vms.errors import LostGuest, UsageError

MODULE = "guest.experiments.of_this_test"
TEXT = '''
from typing import Annotated
from guest.catalogue import Facts, experiment

class Flood(Facts):
    flows: Annotated[int, "flows"]
    name: Annotated[str, "a name"]

@experiment(modules=("tun",), alone={alone!r})
def flood(lab) -> Flood:
    """How many flows?"""
    return Flood(flows={flows}, name="a")
'''


@pytest.fixture(autouse=True)
def catalogue_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    catalogue.load()  # what a test imports first would be forgotten after it, and not imported again
    monkeypatch.setattr(catalogue, "_found", dict(catalogue._found))
    monkeypatch.setitem(sys.modules, MODULE, sys)


def save(file: Path, flows: int | str, alone: str = "") -> None:
    file.write_text(TEXT.format(flows=flows, alone=alone))


def ran(kernel: str, request: dict[str, Any]) -> Answer:
    """What a guest with the source of the request answers; 6.1.9 counts one flow more."""
    text = request["source"]["text"]
    assert request["modules"] == ["tun"]
    flows = int(text.partition("flows=")[2].partition(",")[0])
    return answer(request, facts={"flows": flows + (kernel == "6.1.9"), "name": "a"})


def said(turn: Turn) -> list[str]:
    console = Console(file=io.StringIO(), width=100)
    print_turn(turn, console)
    text: str = console.file.getvalue()  # type: ignore[attr-defined]
    return [" ".join(line.split()) for line in text.replace("(0.0 s)", "").splitlines()]


@pytest.fixture
def guests() -> FakeGuests:
    return FakeGuests(ran)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    save(tmp_path / "mine.py", 7)
    return tmp_path / "mine.py"


@pytest.fixture
def turns(file: Path, guests: FakeGuests) -> Iterator[Iterator[Turn]]:
    kernels = [make_kernel("6.1.9"), make_kernel("6.12.9")]
    with closing(Watch(Watched(("flood",), MODULE, file), kernels, guests, 2).turns()) as made:
        yield made


def test_the_first_turn_shows_every_fact_and_later_ones_what_changed(
    turns: Iterator[Turn], file: Path
) -> None:
    assert said(next(turns)) == ["flood 6.1.9 6.12.9", "flows 8 7", "name a a", "turn 1: 2 facts"]
    save(file, 70)
    assert said(next(turns)) == ["flood 6.1.9 6.12.9", "flows 8 → 71 7 → 70", "turn 2: 1 fact changed"]
    file.touch()
    assert said(next(turns)) == ["turn 3: nothing changed"]


@pytest.mark.parametrize(
    ("broken", "complaint"),
    [
        ("def f(:\n", "line 1: SyntaxError: invalid syntax"),
        ("\nimport no_such_thing\n", "line 2: ModuleNotFoundError: No module named 'no_such_thing'"),
        ("", "there is no experiment 'flood'"),
        ("# " + "x" * (600 << 10), "it is longer than 512 KiB"),
    ],
)
def test_a_file_that_cannot_be_read_is_one_message_and_is_watched_on(
    turns: Iterator[Turn], file: Path, guests: FakeGuests, broken: str, complaint: str
) -> None:
    next(turns)
    file.write_text(broken)
    (line,) = said(next(turns))
    assert line.startswith("turn 2: ")
    assert complaint in line
    assert len(guests.most) == 2  # no guest was started for it
    save(file, 9)
    assert said(next(turns))[1] == "flows 8 → 10 7 → 9"


def test_guests_wait_for_the_next_turn_and_end_with_the_last(
    file: Path, guests: FakeGuests, turns: Iterator[Turn]
) -> None:
    next(turns)
    save(file, 8)
    next(turns)
    assert len(guests.most) == 2
    assert sorted(guests.running) == ["6.1.9", "6.12.9"]
    turns.close()  # type: ignore[attr-defined]
    assert guests.running == []


def test_an_experiment_that_needs_a_guest_of_its_own_gets_one_each_time(
    file: Path, guests: FakeGuests, turns: Iterator[Turn]
) -> None:
    save(file, 7, alone="it cannot be undone")
    next(turns)
    file.touch()
    next(turns)
    assert len(guests.most) == 4


def test_a_cell_without_an_answer_says_why_and_is_compared_with_its_last_facts(file: Path) -> None:
    def breaks(kernel: str, request: dict[str, Any]) -> Answer:
        if "flows=8" in request["source"]["text"]:
            raise LostGuest("the guest ended")
        return ran(kernel, request)

    watch = Watch(Watched(("flood",), MODULE, file), [make_kernel("6.12.9")], FakeGuests(breaks), 1)
    with closing(watch.turns()) as turns:
        next(turns)
        save(file, 8)
        assert said(next(turns)) == ["6.12.9: flood: error: the guest ended", "turn 2: nothing changed"]
        save(file, 9)
        assert said(next(turns))[1] == "flows 7 → 9"


def test_a_text_that_fails_leaves_the_experiments_of_its_module_as_they_were(file: Path) -> None:
    loaded = Source(MODULE, str(file), file.read_text()).load()
    with pytest.raises(ZeroDivisionError):
        Source(MODULE, str(file), "1 / 0").load()
    assert catalogue._found["flood"] is loaded["flood"]


def test_experiments_of_several_files_are_refused() -> None:
    modules = ("guest.experiments.seed", "guest.experiments.table")
    choices = [Choice(make_experiment(module[-4:], module=module), ({},)) for module in modules]
    catalogue.load()
    with pytest.raises(UsageError, match=r"t\*: these are in several files \(seed\.py, table\.py\)"):
        Watched.of(["t*"], choices)
