from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from vms.directories import replace_directory
from vms.errors import HostError
from vms.files import DISK_FULL

OLD = {"index.html": b"old", "api/index.json": b"{}"}
NEW = {"index.html": b"new", "build/6.1.html": b"6.1"}


def content(directory: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()
    }


def test_a_directory_is_replaced_with_all_that_was_in_it(tmp_path: Path) -> None:
    replace_directory(tmp_path / "a" / "site", OLD.items())
    replace_directory(tmp_path / "a" / "site", NEW.items())
    assert content(tmp_path / "a" / "site") == NEW
    assert names(tmp_path / "a") == ["site"]


def names(directory: Path) -> list[str]:
    return [path.name for path in directory.iterdir()]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), ValueError("a bug")])
def test_what_ends_before_the_last_file_leaves_the_old_directory_and_nothing_else(
    tmp_path: Path, error: BaseException
) -> None:
    def interrupted() -> Iterator[tuple[str, bytes]]:
        yield "index.html", b"new"
        raise error

    replace_directory(tmp_path / "site", OLD.items())
    with pytest.raises(type(error)):
        replace_directory(tmp_path / "site", interrupted())
    assert content(tmp_path / "site") == OLD
    assert names(tmp_path) == ["site"]


def test_an_interrupt_between_both_renames_leaves_the_old_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace_directory(tmp_path / "site", OLD.items())
    rename = Path.rename

    def once(path: Path, target: Path) -> Path:
        moved = rename(path, target)
        monkeypatch.setattr(Path, "rename", rename)
        if path == tmp_path / "site":
            raise KeyboardInterrupt
        return moved

    monkeypatch.setattr(Path, "rename", once)
    with pytest.raises(KeyboardInterrupt):
        replace_directory(tmp_path / "site", NEW.items())
    assert content(tmp_path / "site") == OLD
    assert names(tmp_path) == ["site"]


def test_everybody_may_read_the_directory_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        replace_directory(tmp_path / "site", OLD.items())
    finally:
        os.umask(before)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "site").rglob("*")}
    assert modes == {"index.html": 0o644, "api": 0o755, "index.json": 0o644}
    assert stat.S_IMODE((tmp_path / "site").stat().st_mode) == 0o755


def test_a_disk_that_is_full_leaves_the_old_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_path: Path, _content: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    replace_directory(tmp_path / "site", OLD.items())
    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(HostError, match=f"writing {tmp_path / 'site'}: {DISK_FULL}"):
        replace_directory(tmp_path / "site", NEW.items())
    assert content(tmp_path / "site") == OLD
    assert names(tmp_path) == ["site"]
