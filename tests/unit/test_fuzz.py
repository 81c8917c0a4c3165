"""Every reader of foreign bytes takes its seeds, and of changed ones it takes or refuses each.

`python -m tests.fuzz` tries millions of changes, guided by what they reach.
"""

from __future__ import annotations

import subprocess
import sys
from functools import cache
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz.mutate import mutate
from tests.fuzz.target import Target
from tests.fuzz.targets import TARGETS
from tests.support.project import ROOT

EACH = pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS.keys())


@cache
def seeds_of(name: str) -> list[bytes]:
    return TARGETS[name].seeds()


@EACH
def test_a_reader_takes_its_seeds(target: Target, tmp_path: Path) -> None:
    for seed in seeds_of(target.name):
        assert target.attempt(seed, tmp_path), seed[:1000]


@EACH
@settings(
    max_examples=25,
    derandomize=True,  # a commit passes always or never
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=st.data(), number=st.integers(0, 1 << 32))
def test_changed_bytes_are_taken_or_refused(
    target: Target, tmp_path: Path, data: st.DataObject, number: int
) -> None:
    whole = data.draw(st.sampled_from(seeds_of(target.name)) | st.binary(max_size=300))
    target.attempt(mutate(whole, Random(number)), tmp_path)
    assert not list(tmp_path.iterdir())


def test_an_error_that_is_no_refusal_is_a_finding(tmp_path: Path) -> None:
    def read(data: bytes, place: Path) -> None:
        (place / "left").mkdir()
        raise {b"refused": ValueError, b"broken": KeyError}[data]

    target = Target("x", read, (ValueError,), list)
    assert not target.attempt(b"refused", tmp_path)
    with pytest.raises(KeyError):
        target.attempt(b"broken", tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_changed_value_of_json_is_still_json() -> None:
    changed = {mutate(b'{"a": [1, {"b": "c"}]}', Random(number)) for number in range(200)}
    assert len(changed) > 100
    assert sum(one[:1] in b"{[" and one[-1:] in (b"}", b"]") for one in changed) > 20


def test_without_atheris_fuzzing_says_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "atheris.py").write_text("raise ImportError")
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz"],
        env={"PYTHONPATH": f"{tmp_path}:{ROOT}"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 3
    assert "pip install atheris" in done.stderr
