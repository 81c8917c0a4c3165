from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from vms.cache import Cache
from vms.kernels.helpers import build_helpers

FINE = '#include "beside.h"\nint main(void) { return ANSWER; }\n'


@pytest.fixture
def place(tmp_path: Path) -> Path:
    tests = tmp_path / "tests" / "net" / "netfilter"
    tests.mkdir(parents=True)
    (tests / "fine.c").write_text(FINE)
    (tests / "beside.h").write_text("#define ANSWER 7\n")
    return tests


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache")


def answer(program: Path) -> int:
    return subprocess.run([program], check=False).returncode


def test_a_helper_is_built_once_and_again_when_a_header_changed(place: Path, cache: Cache) -> None:
    first = build_helpers(place, ["fine"], cache).built["fine"]
    assert answer(first) == 7
    assert build_helpers(place, ["fine"], cache).built["fine"] == first
    (place / "beside.h").write_text("#define ANSWER 8\n")
    second = build_helpers(place, ["fine"], cache).built["fine"]
    assert second != first
    assert answer(second) == 8


def test_headers_of_all_tests_are_found(place: Path, cache: Cache) -> None:
    (place / "beside.h").unlink()
    (place.parents[1] / "beside.h").write_text("#define ANSWER 9\n")
    assert answer(build_helpers(place, ["fine"], cache).built["fine"]) == 9


def test_a_damaged_helper_is_built_again(place: Path, cache: Cache) -> None:
    path = build_helpers(place, ["fine"], cache).built["fine"]
    path.write_bytes(b"damaged")
    assert answer(build_helpers(place, ["fine"], cache).built["fine"]) == 7


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("#include <no/such.h>\n", "no/such.h: No such file or directory"),
        ("int main(void) { return missing; }\n", "undeclared"),
        ("#include <libmnl/nothing.h>\n", "libmnl/nothing.h: No such file or directory (Debian: libmnl-dev)"),
    ],
)
def test_a_helper_that_does_not_compile_says_why(place: Path, cache: Cache, source: str, why: str) -> None:
    (place / "bad.c").write_text(source)
    helpers = build_helpers(place, ["bad", "fine", "gone"], cache)
    assert why in helpers.failed["bad"]
    assert helpers.failed["gone"] == "there is no gone.c"
    assert list(helpers.built) == ["fine"]


def test_without_a_compiler_that_is_said(place: Path, cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nothing")
    assert build_helpers(place, ["fine"], cache).failed == {"fine": "gcc is not installed here"}
