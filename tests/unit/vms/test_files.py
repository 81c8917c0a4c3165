from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from vms.errors import HostError
from vms.files import DISK_FULL, disk_errors, write_whole


def test_a_file_is_written_with_the_directories_above_it(tmp_path: Path) -> None:
    write_whole(tmp_path / "a/b/x.json", b"content")
    assert (tmp_path / "a/b/x.json").read_bytes() == b"content"


def test_a_written_file_is_readable_for_everybody_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        write_whole(tmp_path / "x.json", b"content")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "x.json").stat().st_mode) == 0o644


def test_a_file_that_cannot_be_written_leaves_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.json"
    write_whole(path, b"old")

    def full(_handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(HostError, match=f"writing {path}: {DISK_FULL}"):
        write_whole(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_reported_with_what_was_being_done(number: int) -> None:
    with pytest.raises(HostError, match=f"^saving the run: {DISK_FULL}$"), disk_errors("saving the run"):
        raise OSError(number, os.strerror(number))


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS, errno.EPERM])
def test_a_refusal_is_reported_with_the_path(number: int) -> None:
    said = f"^saving the run: /some/where: {os.strerror(number)}; make it writable"
    with pytest.raises(HostError, match=said), disk_errors("saving the run"):
        raise OSError(number, os.strerror(number), "/some/where")


def test_other_errors_of_the_system_pass() -> None:
    with pytest.raises(IsADirectoryError), disk_errors("saving the run"):
        raise OSError(errno.EISDIR, os.strerror(errno.EISDIR))
