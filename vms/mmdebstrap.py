"""mmdebstrap, which makes a Debian from signed packages, as any user: how to start it, and the
directory where it works, of which nothing stays.
"""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vms.errors import HostError
from vms.packages import remedy
from vms.runtime import private_directory, remove_tree

PROGRAM = "mmdebstrap"
# It ends in order, with all it started, when its whole process group gets SIGTERM; this shell sends
# it when this process is killed.
ENDED_WITH_US = (
    *("setpriv", "--pdeathsig", "TERM", "--"),
    *("sh", "-c", 'trap \'trap "" TERM; kill -TERM 0; wait\' TERM; "$@" & wait $!', "sh"),
)
_REMOVE_SECONDS = 30


@contextmanager
def workplace(kind: str, what: str) -> Iterator[Path]:
    """Yields a directory for mmdebstrap's TMPDIR, and removes it at the end; `what` names the
    purpose.

    Raises HostError if there is no mmdebstrap, or no place.
    """
    if shutil.which(PROGRAM) is None:
        raise HostError(f"{what}: the program {PROGRAM} is missing on this host; {remedy()}")
    # Not in the cache: in a user namespace mmdebstrap works as another user, who may not be allowed
    # to pass through a home directory. That user may pass through this directory, not list it.
    with private_directory(kind, _remove) as scratch:
        scratch.chmod(0o711)
        yield scratch


def _remove(scratch: Path) -> None:
    remove_tree(scratch)
    if scratch.is_dir():
        # A build that was killed leaves files of other users of its namespace, which can only be
        # removed in such a namespace. After an interrupt every deadline has expired, so this has
        # its own limit.
        for left in scratch.iterdir():
            with contextlib.suppress(subprocess.TimeoutExpired):
                subprocess.run(
                    [PROGRAM, "--unshare-helper", "rm", "-rf", str(left)],
                    capture_output=True,
                    timeout=_REMOVE_SECONDS,
                )
        remove_tree(scratch)
