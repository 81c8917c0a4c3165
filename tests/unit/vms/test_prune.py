from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.support.caches import end, fill, holder
from vms.cache import Cache
from vms.deadline import Deadline
from vms.errors import UsageError
from vms.prune import MADE_HERE, held, parse_size, prune


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    cache = Cache(tmp_path / "cache")
    fill(cache.root, "kernels", "old", 3_000_000, 300)
    fill(cache.root, "templates", "middle", 2_000_000, 200)
    fill(cache.root, "kernels", "new", 1_000_000, 100)
    return cache


def keys(cache: Cache) -> list[str]:
    return [entry.key for entry in held(cache)]


def test_what_is_held(cache: Cache) -> None:
    (cache.root / "kernels/old/kernel.json").write_text('{"kernel": "debian:6.1"}')
    oldest, middle, newest = sorted(held(cache), key=lambda entry: -entry.size)
    assert (oldest.kind, oldest.key, oldest.what, oldest.in_use) == ("kernels", "old", "debian:6.1", False)
    assert oldest.size == pytest.approx(3_000_000, rel=0.05)
    assert middle.kind == "templates"
    assert newest.used == pytest.approx(time.time() - 100, abs=5)


def test_the_longest_unused_goes_first(cache: Cache) -> None:
    pruned = prune(cache, 4_000_000)
    assert [entry.key for entry in pruned.removed] == ["old"]
    assert keys(cache) == ["middle", "new"]
    assert [entry.key for entry in pruned.held] == ["middle", "new"]


def test_only_the_kinds_that_are_named_go(cache: Cache) -> None:
    assert [entry.key for entry in prune(cache, 0, MADE_HERE).removed] == ["middle"]
    assert keys(cache) == ["old", "new"]


def test_nothing_goes_while_there_is_room(cache: Cache) -> None:
    assert prune(cache, 10_000_000).removed == ()
    assert len(keys(cache)) == 3


def test_everything_goes_and_no_lock_stays(cache: Cache) -> None:
    assert len(prune(cache, 0).removed) == 3
    assert [path for path in cache.root.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("doing", ["use", "build"])
def test_what_another_process_uses_or_builds_stays(cache: Cache, doing: str) -> None:
    process = holder(cache.root, doing)
    try:
        pruned = prune(cache, 0)
        (kept,) = pruned.held
        assert kept.kind == "kind"
        assert kept.in_use
        assert len(list((cache.root / "kind").iterdir())) == 2
    finally:
        end(process)
    assert len(prune(cache, 0).removed) == 1


def test_what_this_process_uses_stays(cache: Cache) -> None:
    entry = cache.ensure("kernels", "mine", lambda entry: None, Deadline(5, "the test"))
    prune(cache, 0)
    assert entry.is_dir()


def test_what_a_killed_process_left_goes_even_if_there_is_room(cache: Cache) -> None:
    end(holder(cache.root, "build"))
    (left,) = prune(cache, 10**9).removed
    assert left.what == "left over"
    assert list((cache.root / "kind").iterdir()) == []


def test_an_empty_cache(tmp_path: Path) -> None:
    assert held(Cache(tmp_path / "none")) == ()
    assert prune(Cache(tmp_path / "none"), 0).removed == ()


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("20GB", 20 * 10**9),
        ("20g", 20 * 10**9),
        ("1.5T", 15 * 10**11),
        ("500 MB", 5 * 10**8),
        ("0", 0),
        ("12K", 12_000),
    ],
)
def test_sizes(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "GB", "-1G", "20 gallons", "1e3"])
def test_no_size(text: str) -> None:
    with pytest.raises(UsageError, match="is not a size"):
        parse_size(text)
