from __future__ import annotations

import re
import threading

import pytest

from matrix.run.waiting import told


def test_a_step_is_named_and_then_told_of_until_it_ends() -> None:
    notes: list[str] = []
    twice = threading.Event()

    def note(text: str) -> None:
        notes.append(text)
        if len(notes) > 2:
            twice.set()

    with told(note, "building", every=0.001):
        assert twice.wait(30)
    assert notes[0] == "building"
    assert all(re.fullmatch(r"building: \d+ s so far", text) for text in notes[1:])
    assert not any(thread.name == "building" for thread in threading.enumerate())


def test_a_step_that_fails_is_told_of_no_more() -> None:
    with pytest.raises(OSError, match="full"), told(lambda _text: None, "building"):
        raise OSError("full")
    assert not any(thread.name == "building" for thread in threading.enumerate())
