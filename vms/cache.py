"""The user's cache: content-addressed, shared between checkouts, safe under several runs at once.

An entry is `<kind>/<key>`, a directory that is built under a temporary name and published by one
rename, so an entry that exists is whole, and a published key never changes its content. Beside it
lies `<key>.lock`: an exclusive flock while it is built or removed, a shared one from its first use
to the end of the process. Such locks die with their holder.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from vms.deadline import Deadline
from vms.errors import HostError
from vms.files import disk_errors

_POLL = 0.05
# The entries this process uses, by their lock file, with the open file that holds the lock.
_in_use: dict[Path, IO[str]] = {}


class Cache:
    """The cache under one root directory.

    Everything in it can be deleted at any time and is made anew.
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
        """Where the entry lies or would lie."""
        return self.root / kind / key

    def ensure(
        self,
        kind: str,
        key: str,
        build: Callable[[Path], None],
        deadline: Deadline,
        whole: Callable[[Path], bool] | None = None,
    ) -> Path:
        """The entry's directory, built first if it is not there, and in use by this process from
        now on.

        `build` gets an empty directory on the cache's file system; what it leaves there is
        published. If it raises, nothing is. An entry that `whole` denies is damaged, and built
        anew. Raises HostError when another process holds the entry beyond the deadline, or nothing
        can be written because the disk is full or it is not ours.
        """
        with disk_errors(f"{deadline.what} (in the cache {self.root})"):
            final = self._ensure(kind, key, build, deadline)
            if whole and not whole(final):
                self.discard(kind, key, lambda path: not whole(path), deadline)
                final = self._ensure(kind, key, build, deadline)
                if not whole(final):
                    raise HostError(
                        f"{deadline.what}: {final} was damaged right after it was made; is the disk sound?"
                    )
        return final

    def _ensure(self, kind: str, key: str, build: Callable[[Path], None], deadline: Deadline) -> Path:
        final, lock = self.path(kind, key), self._lock_path(kind, key)
        # Once it is marked as in use nobody removes it; before that somebody may.
        while not self._use(kind, key, deadline):
            # Whoever else builds it goes on to use it, so what is waited for is the entry, not its
            # lock.
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
        """Removes the entry if it is there and `unwanted` says so once no other process uses it.

        Ours must not use it any more.
        """
        used = _in_use.pop(self._lock_path(kind, key), None)
        if used:
            used.close()
        final = self.path(kind, key)
        with self.lock(kind, key, deadline):
            if final.is_dir() and unwanted(final):
                # Renamed first, so that what a crash on the way leaves is never taken for a whole
                # entry.
                shutil.rmtree(final.rename(final.with_name(f".{final.name}-removed")))

    def _use(self, kind: str, key: str, deadline: Deadline) -> bool:
        """Marks the entry as in use; False if it is not there."""
        final, path = self.path(kind, key), self._lock_path(kind, key)
        if path not in _in_use and final.is_dir():
            handle = _locked(path, fcntl.LOCK_SH, deadline)
            if _in_use.setdefault(path, handle) is not handle:  # another thread was faster
                handle.close()
        if final.is_dir():
            return True
        if path in _in_use:
            _in_use.pop(path).close()
        return False

    def _build(self, final: Path, build: Callable[[Path], None]) -> None:
        for left in final.parent.glob(f".{final.name}-*"):  # by a process that was killed
            shutil.rmtree(left, ignore_errors=True)
        staging = Path(tempfile.mkdtemp(prefix=f".{final.name}-", dir=final.parent))
        try:
            build(staging)
            staging.chmod(0o755)
            staging.rename(final)
        finally:
            shutil.rmtree(staging, ignore_errors=True)

    @contextmanager
    def lock(self, kind: str, key: str, deadline: Deadline) -> Iterator[None]:
        """Holds the entry's lock alone.

        The entry need not exist yet. Raises HostError if what is done then finds no room on the
        disk.
        """
        with (
            disk_errors(f"using the cache {self.root}"),
            _locked(self._lock_path(kind, key), fcntl.LOCK_EX, deadline),
        ):
            yield

    def _lock_path(self, kind: str, key: str) -> Path:
        return self.root / kind / f"{key}.lock"


def _locked(path: Path, how: int, deadline: Deadline) -> IO[str]:
    """The open lock file; closing it gives the lock back."""
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
        # Whoever removes an entry removes its lock file as well; then this would be a lock on
        # nothing.
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
