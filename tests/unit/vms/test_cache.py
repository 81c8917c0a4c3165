from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tests.support.caches import end, holder
from tests.support.project import ROOT
from vms.cache import Cache
from vms.deadline import Deadline
from vms.errors import HostError


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path)


def soon() -> Deadline:
    return Deadline(60, "the test")


def test_an_entry_is_built_once(cache: Cache) -> None:
    built = []

    def build(entry: Path) -> None:
        built.append(entry)
        (entry / "file").write_text("content")

    first = cache.ensure("kind", "key", build, soon())
    assert cache.ensure("kind", "key", build, soon()) == first == cache.path("kind", "key")
    assert (first / "file").read_text() == "content"
    assert len(built) == 1


@pytest.mark.fault(phase="cache", fault="building fails", outcome="nothing is published")
def test_nothing_is_published_when_building_fails(cache: Cache) -> None:
    def build(entry: Path) -> None:
        (entry / "half").write_text("x")
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        cache.ensure("kind", "key", build, soon())
    assert [path.name for path in (cache.root / "kind").iterdir()] == ["key.lock"]


@pytest.mark.fault(phase="cache", fault="disk full", outcome="one message that names the cache")
def test_a_full_disk_while_building_an_entry_is_reported_as_such(cache: Cache) -> None:
    def build(entry: Path) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(
        HostError, match=rf"the test \(in the cache {cache.root}\): no space left on the disk"
    ):
        cache.ensure("kind", "key", build, soon())


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS])
@pytest.mark.fault(phase="cache", fault="disk read-only", outcome="one message that names the directory")
def test_a_cache_that_cannot_be_written_is_named(
    cache: Cache, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refuse(path: Path, **_: object) -> None:
        raise OSError(number, os.strerror(number), str(path))

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(
        HostError,
        match=rf"the test \(in the cache {cache.root}\): {cache.root}: {os.strerror(number)}; make it",
    ):
        cache.ensure("kind", "key", lambda entry: None, soon())
    with pytest.raises(HostError, match=os.strerror(number)), cache.lock("kind", "key", soon()):
        pass


@pytest.mark.fault(phase="cache", fault="two at once", outcome="one builds, the others wait")
def test_threads_build_an_entry_once(cache: Cache) -> None:
    built = []

    def build(entry: Path) -> None:
        built.append(entry)
        time.sleep(0.1)

    threads = [threading.Thread(target=cache.ensure, args=("kind", "key", build, soon())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(built) == 1


@pytest.mark.fault(
    phase="cache", fault="two at once", outcome="one builds, the other waits until its deadline"
)
def test_another_process_that_builds_is_waited_for(cache: Cache) -> None:
    process = holder(cache.root, "build")
    try:
        with pytest.raises(
            HostError, match=r"waited 0.2 s for another process that holds .*key.lock while waiting for me"
        ):
            cache.ensure("kind", "key", lambda entry: None, Deadline(0.2, "me"))
    finally:
        end(process)


def test_an_entry_that_another_process_uses_can_be_used(cache: Cache) -> None:
    process = holder(cache.root, "use")
    try:
        assert cache.ensure("kind", "key", lambda entry: None, Deadline(30, "me")).is_dir()
    finally:
        end(process)


@pytest.mark.fault(
    phase="cache", fault="tool killed", outcome="the next run removes what is half built and builds anew"
)
def test_a_half_built_entry_of_a_killed_process_is_removed(cache: Cache) -> None:
    end(holder(cache.root, "build"))
    assert list((cache.root / "kind").glob(".key-*"))
    entry = cache.ensure("kind", "key", lambda entry: None, soon())
    assert list(entry.iterdir()) == []
    assert list((cache.root / "kind").glob(".key-*")) == []


@pytest.mark.fault(phase="cache", fault="entry deleted", outcome="it is built again")
def test_a_deleted_entry_is_built_again(cache: Cache) -> None:
    for _ in range(2):
        entry = cache.ensure("kind", "key", lambda entry: None, soon())
        entry.rmdir()
    assert cache.ensure("kind", "key", lambda entry: None, soon()).is_dir()


def test_using_an_entry_updates_its_time(cache: Cache) -> None:
    entry = cache.ensure("kind", "key", lambda entry: None, soon())
    os.utime(entry, (0, 0))
    cache.ensure("kind", "key", lambda entry: None, soon())
    assert entry.stat().st_mtime > time.time() - 60


@pytest.fixture
def synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file to which a `sync` of the test's own writes what it was asked to sync, and what lay
    beside it.
    """
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "sync").write_text(
        f'#!/bin/sh\ncat "$2/file" >{tmp_path}/synced; ls "$2/.." >>{tmp_path}/synced\n'
    )
    (programs / "sync").chmod(0o755)
    monkeypatch.setattr("vms.tool.SEARCH_PATH", f"{programs}:{os.environ['PATH']}")
    return tmp_path / "synced"


@pytest.mark.fault(
    phase="cache", fault="power cut", outcome="an entry is on the disk before it gets its name"
)
def test_an_entry_is_on_the_disk_before_it_gets_its_name(tmp_path: Path, synced: Path) -> None:
    cache = Cache(tmp_path / "cache")

    def build(entry: Path) -> None:
        (entry / "file").write_text("content\n")

    cache.ensure("kind", "key", build, soon())
    content, *names = synced.read_text().split()
    assert content == "content"
    assert "key" not in names


@pytest.mark.fault(phase="cache", fault="disk fails", outcome="an error; nothing is published")
def test_an_entry_that_cannot_be_written_to_the_disk_is_not_published(tmp_path: Path, synced: Path) -> None:
    (tmp_path / "programs" / "sync").write_text(
        "#!/bin/sh\necho sync: error syncing: Input/output error; exit 1\n"
    )
    cache = Cache(tmp_path / "cache")
    with pytest.raises(HostError, match="Input/output error"):
        cache.ensure("kind", "key", lambda entry: None, soon())
    assert not cache.path("kind", "key").exists()


@pytest.mark.parametrize("mode", [0o755, 0o700, None])
def test_only_the_user_may_enter_the_cache(tmp_path: Path, mode: int | None) -> None:
    cache = Cache(tmp_path / "cache")
    if mode is not None:
        cache.root.mkdir()
        cache.root.chmod(mode)
    cache.ensure("kind", "key", lambda entry: None, soon())
    assert stat.S_IMODE(cache.root.stat().st_mode) == 0o700


def test_a_cache_of_another_user_keeps_its_mode(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: tmp_path.stat().st_uid + 1)
    tmp_path.chmod(0o755)
    Cache(tmp_path).ensure("kind", "key", lambda entry: None, soon())
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o755


def test_a_damaged_entry_is_made_again_and_it_is_said(cache: Cache, caplog: pytest.LogCaptureFixture) -> None:
    def build(entry: Path) -> None:
        (entry / "file").write_text("content")

    def ensure() -> Path:
        return cache.ensure("kind", "key", build, soon(), lambda entry: (entry / "file").exists())

    entry = ensure()
    (entry / "file").unlink()
    assert (ensure() / "file").read_text() == "content"
    assert caplog.messages == [f"the test: the cached {entry} was damaged; it is made again"]


def test_the_default_cache_is_in_the_users_cache_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert Cache.default().root == Path("/somewhere/conntrack-matrix")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/home/me")
    assert Cache.default().root == Path("/home/me/.cache/conntrack-matrix")


def test_a_process_that_used_an_entry_ends_without_a_warning(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path\n"
        "from vms.cache import Cache; from vms.deadline import Deadline\n"
        "Cache(Path(sys.argv[1])).ensure('kind', 'key', lambda entry: None, Deadline(60, 'the test'))"
    )
    command = [sys.executable, "-W", "default", "-c", script, str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
