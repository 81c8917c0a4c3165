"""The user's cache: content-addressed, shared between checkouts, safe for several runs at once.

An entry is `<kind>/<key>`, a directory that is built under a temporary name and published by one
rename, so an entry that exists is complete, and a published key never changes its content. It is on
the disk before it gets its name, so a power cut leaves all of it or nothing.

Beside it is `<key>.lock`: locked exclusively (flock) while the entry is built or removed, shared
from its first use to the end of the process. Such locks end with the process that holds them. Only
the user may enter the cache: it holds the memory of guests, and who can open a lock can hold it.
"""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import logging
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from vms import tool
from vms.deadline import Deadline
from vms.errors import HostError
from vms.files import disk_errors, sync_directory

_POLL = 0.05
_log = logging.getLogger(__name__)
# The entries that this process uses: for each lock file the open file that holds the lock.
_in_use: dict[Path, IO[str]] = {}


@atexit.register
def _use_no_more() -> None:
    # The locks would end with the process; open files would end with a warning each.
    for handle in _in_use.values():
        handle.close()


class Cache:
    """The cache under one root directory.

    Everything in it can be deleted at any time and is rebuilt when it is needed.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    @classmethod
    def default(cls) -> Cache:
        """The cache of this user: `$XDG_CACHE_HOME/conntrack-matrix`, by default under
        `~/.cache`.
        """
        base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
        return cls(Path(base).expanduser() / "conntrack-matrix")

    def path(self, kind: str, key: str) -> Path:
        """The entry's path, whether it exists or not."""
        return self.root / kind / key

    def ensure(
        self,
        kind: str,
        key: str,
        build: Callable[[Path], None],
        deadline: Deadline,
        whole: Callable[[Path], bool] | None = None,
    ) -> Path:
        """Returns the entry's directory, built first if it does not exist. From now on this process
        uses it.

        `build` gets an empty directory on the cache's file system; what it leaves there is
        published. If it raises, nothing is published. If `whole` returns False the entry is damaged
        and is rebuilt. Raises HostError when another process holds the entry beyond the deadline,
        or the disk is full or may not be written.
        """
        with disk_errors(f"{deadline.what} (in the cache {self.root})"):
            self._make_private()
            final = self._ensure(kind, key, build, deadline)
            if whole and not whole(final):
                _log.warning("%s: the cached %s was damaged; it is made again", deadline.what, final)
                self.discard(kind, key, lambda path: not whole(path), deadline)
                final = self._ensure(kind, key, build, deadline)
                if not whole(final):
                    raise HostError(
                        f"{deadline.what}: {final} was damaged right after it was built; check the disk"
                    )
        return final

    def _ensure(self, kind: str, key: str, build: Callable[[Path], None], deadline: Deadline) -> Path:
        final, lock = self.path(kind, key), self._lock_path(kind, key)
        # An entry that is marked as in use is not removed; until then another process may do so.
        while not self._use(kind, key, deadline):
            # Another process that builds the entry then uses it and keeps the lock, so this waits
            # for the entry, not for its lock.
            handle = _try(lock, fcntl.LOCK_EX)
            if handle:
                with handle:
                    if not final.is_dir():
                        self._build(final, build)
            elif not final.is_dir():
                _wait(lock, deadline)
        os.utime(final)
        return final

    def discard(self, kind: str, key: str, unwanted: Callable[[Path], bool], deadline: Deadline) -> None:
        """Removes the entry if it exists and `unwanted` returns True once no other process uses it.

        The calling process must have stopped using the entry.
        """
        used = _in_use.pop(self._lock_path(kind, key), None)
        if used:
            used.close()
        final = self.path(kind, key)
        with self.lock(kind, key, deadline):
            if final.is_dir() and unwanted(final):
                # Renamed first, so that after a crash no half entry is taken for a complete one.
                shutil.rmtree(final.rename(final.with_name(f".{final.name}-removed")))

    def _use(self, kind: str, key: str, deadline: Deadline) -> bool:
        """Marks the entry as in use; returns False if it does not exist."""
        final, path = self.path(kind, key), self._lock_path(kind, key)
        if path not in _in_use and final.is_dir():
            handle = _locked(path, fcntl.LOCK_SH, deadline)
            if _in_use.setdefault(path, handle) is not handle:  # another thread did it first
                handle.close()
        if final.is_dir():
            return True
        if path in _in_use:
            _in_use.pop(path).close()
        return False

    def _build(self, final: Path, build: Callable[[Path], None]) -> None:
        for left in final.parent.glob(f".{final.name}-*"):  # left by a process that was killed
            shutil.rmtree(left, ignore_errors=True)
        staging = Path(tempfile.mkdtemp(prefix=f".{final.name}-", dir=final.parent))
        try:
            build(staging)
            staging.chmod(0o755)
            tool.sync(staging)
            staging.rename(final)
            sync_directory(final.parent)
        finally:
            shutil.rmtree(staging, ignore_errors=True)

    @contextmanager
    def lock(self, kind: str, key: str, deadline: Deadline) -> Iterator[None]:
        """Holds the entry's exclusive lock for the context.

        The entry need not exist. Raises HostError if the body finds the disk full or may not write.
        """
        with disk_errors(f"using the cache {self.root}"):
            self._make_private()
            with _locked(self._lock_path(kind, key), fcntl.LOCK_EX, deadline):
                yield

    def _make_private(self) -> None:
        self.root.mkdir(parents=True, exist_ok=True)
        status = self.root.stat()
        if stat.S_IMODE(status.st_mode) != 0o700 and status.st_uid == os.geteuid():
            with contextlib.suppress(PermissionError):  # a file system without modes
                self.root.chmod(0o700)

    def _lock_path(self, kind: str, key: str) -> Path:
        return self.root / kind / f"{key}.lock"


def _locked(path: Path, how: int, deadline: Deadline) -> IO[str]:
    """Locks the file and returns it open; closing it releases the lock."""
    while True:
        handle = _try(path, how)
        if handle:
            return handle
        _wait(path, deadline)


def _try(path: Path, how: int) -> IO[str] | None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = path.open("a")
    try:
        fcntl.flock(handle, how | fcntl.LOCK_NB)
        # A process that removes an entry also removes its lock file; a lock on a removed file
        # protects nothing.
        if os.fstat(handle.fileno()).st_ino == path.stat().st_ino:
            return handle
    except (BlockingIOError, FileNotFoundError):
        pass
    except BaseException:
        handle.close()
        raise
    handle.close()
    return None


def _wait(path: Path, deadline: Deadline) -> None:
    if deadline.expired:
        raise HostError(
            f"waited {deadline.seconds:g} s for another process that holds {path} while waiting for"
            f" {deadline.what}"
        )
    time.sleep(_POLL)
