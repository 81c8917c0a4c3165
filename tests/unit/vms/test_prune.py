from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.caches import end, fill, holder
from vms.cache import Cache
from vms.deadline import Deadline
from vms.errors import UsageError
from vms.prune import DAMAGED, MADE_HERE, held, parse_size, prune


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    cache = Cache(tmp_path / "cache")
    fill(cache.root, "kernels", "old", 3_000_000, 300)
    fill(cache.root, "templates", "middle", 2_000_000, 200)
    fill(cache.root, "kernels", "new", 1_000_000, 100)
    return cache


def keys(cache: Cache) -> list[str]:
    return [entry.key for entry in held(cache)]


def test_cached_entries_are_listed_with_size_and_use(cache: Cache) -> None:
    (cache.root / "kernels/old/kernel.json").write_text('{"kernel": "debian:6.1"}')
    oldest, middle, newest = sorted(held(cache), key=lambda entry: -entry.size)
    assert (oldest.kind, oldest.key, oldest.what, oldest.in_use) == ("kernels", "old", "debian:6.1", False)
    assert oldest.size == pytest.approx(3_000_000, rel=0.05)
    assert middle.kind == "templates"
    assert newest.used == pytest.approx(time.time() - 100, abs=5)


def test_prune_removes_the_least_recently_used_entry_first(cache: Cache) -> None:
    pruned = prune(cache, 4_000_000)
    assert [entry.key for entry in pruned.removed] == ["old"]
    assert keys(cache) == ["middle", "new"]
    assert [entry.key for entry in pruned.held] == ["middle", "new"]


def test_prune_removes_only_the_named_kinds(cache: Cache) -> None:
    assert [entry.key for entry in prune(cache, 0, MADE_HERE).removed] == ["middle"]
    assert keys(cache) == ["old", "new"]


def test_prune_removes_nothing_while_there_is_room(cache: Cache) -> None:
    assert prune(cache, 10_000_000).removed == ()
    assert len(keys(cache)) == 3


def test_prune_to_zero_leaves_no_entry_and_no_lock(cache: Cache) -> None:
    assert len(prune(cache, 0).removed) == 3
    assert [path for path in cache.root.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("doing", ["use", "build"])
@pytest.mark.fault(phase="cache", fault="two at once", outcome="an entry in use is never removed")
def test_prune_keeps_entries_that_another_process_uses_or_builds(cache: Cache, doing: str) -> None:
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


def test_prune_keeps_entries_that_this_process_uses(cache: Cache) -> None:
    entry = cache.ensure("kernels", "mine", lambda entry: None, Deadline(60, "the test"))
    prune(cache, 0)
    assert entry.is_dir()


@pytest.mark.fault(phase="cache", fault="tool killed", outcome="prune removes what is half built")
def test_prune_removes_half_built_entries_even_if_there_is_room(cache: Cache) -> None:
    end(holder(cache.root, "build"))
    (left,) = prune(cache, 10**9).removed
    assert left.what == "left over"
    assert list((cache.root / "kind").iterdir()) == []


def test_prune_of_an_empty_cache_removes_nothing(tmp_path: Path) -> None:
    assert held(Cache(tmp_path / "none")) == ()
    assert prune(Cache(tmp_path / "none"), 0).removed == ()


def cut_off(entry: Path) -> None:
    (entry / "template.json").write_bytes(b"")


def replace_by_a_list(entry: Path) -> None:
    (entry / "template.json").write_bytes(b"[]")


def delete_what_describes_it(entry: Path) -> None:
    (entry / "template.json").unlink()


def replace_by_a_directory(entry: Path) -> None:
    (entry / "template.json").unlink()
    (entry / "template.json").mkdir()


def replace_by_bytes(entry: Path) -> None:
    (entry / "template.json").write_bytes(b"\xff\x00")


def replace_by_a_link(entry: Path) -> None:
    shutil.rmtree(entry)
    entry.symlink_to("nowhere")


@pytest.mark.fault(
    phase="cache", fault="entry damaged", outcome="listed as damaged; prune removes it before any other"
)
@pytest.mark.parametrize(
    "damage",
    [
        cut_off,
        replace_by_a_list,
        delete_what_describes_it,
        replace_by_a_directory,
        replace_by_bytes,
        replace_by_a_link,
    ],
)
def test_a_damaged_entry_is_listed_as_such_and_removed_first(
    cache: Cache, damage: Callable[[Path], None]
) -> None:
    damage(cache.root / "templates" / "middle")
    assert {entry.key: entry.what for entry in held(cache)} == {"old": "old", "middle": DAMAGED, "new": "new"}
    pruned = prune(cache, 10**9, kinds=())
    assert [entry.key for entry in pruned.removed] == ["middle"]
    assert keys(cache) == ["old", "new"]


@pytest.mark.fault(
    phase="cache", fault="entry cannot be removed", outcome="it is named, and the others are removed"
)
def test_an_entry_that_cannot_be_removed_is_named_and_stops_nothing(
    cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path, **_: object) -> None:
        if "old" in path.name:
            raise PermissionError(1, "Operation not permitted")
        remove(path)

    remove = shutil.rmtree
    monkeypatch.setattr("vms.prune.shutil.rmtree", refuse)
    pruned = prune(cache, 0)
    assert [entry.key for entry in pruned.removed] == ["middle", "new"]
    (reason,) = pruned.failed
    assert reason.startswith(f"{cache.root}/kernels/old cannot be removed: ")


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
def test_sizes_are_read_with_their_units(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize(
    "text", ["", "GB", "-1G", "20 gallons", "1e3", pytest.param("9" * 400, id="long"), "٢0GB"]
)
def test_a_text_that_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is not a size"):
        parse_size(text)
