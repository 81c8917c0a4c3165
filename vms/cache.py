"""The user's cache: content-addressed, shared between checkouts, safe under several runs at once.

An entry is a directory `<kind>/<key>` that is built under a temporary name and published by one rename, so an entry
that exists is whole, and a published key never changes its content. Beside it lies `<key>.lock`: an exclusive flock while it is
built or removed, a shared one while it is used. Such locks die with their holder.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from vms.deadline import Deadline
from vms.errors import HostError

_POLL = 0.05


class Cache:
    """The cache under one root directory. Everything in it can be deleted at any time and is made anew."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @classmethod
    def default(cls) -> Cache:
        """The cache of this user: `$XDG_CACHE_HOME/conntrack-matrix`, by default under `~/.cache`."""
        base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
        return cls(Path(base).expanduser() / "conntrack-matrix")

    def path(self, kind: str, key: str) -> Path:
        """Where the entry lies or would lie."""
        return self.root / kind / key

    def ensure(self, kind: str, key: str, build: Callable[[Path], None], deadline: Deadline) -> Path:
        """The entry's directory, built first if it is not there.

        `build` gets an empty directory on the cache's file system; what it leaves there is published. If it raises,
        nothing is. Raises HostError when another process holds the entry beyond the deadline or the disk is full.
        """
        final = self.path(kind, key)
        if final.is_dir():
            os.utime(final)
            return final
        with self.lock(kind, key, deadline):
            if final.is_dir():
                return final
            staging = Path(tempfile.mkdtemp(prefix=f".{key[:16]}-", dir=final.parent))
            try:
                build(staging)
                staging.chmod(0o755)
                staging.rename(final)
            except OSError as error:
                if error.errno == errno.ENOSPC:
                    raise HostError(f"{deadline.what}: no space left under {self.root}; free some and run again") from error
                raise
            finally:
                shutil.rmtree(staging, ignore_errors=True)
        return final

    @contextmanager
    def lock(self, kind: str, key: str, deadline: Deadline, *, shared: bool = False) -> Iterator[None]:
        """Holds the entry's lock, exclusively or shared. It need not exist yet."""
        path = self.root / kind / f"{key}.lock"
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a") as handle:
            while True:
                try:
                    fcntl.flock(handle, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if deadline.expired:
                        raise HostError(
                            f"waited {deadline.seconds:g} s for another process that holds {path} while waiting for {deadline.what}"
                        ) from None
                    time.sleep(_POLL)
            yield
