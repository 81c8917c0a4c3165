"""mmdebstrap, which makes a Debian from signed packages, as any user: how to start it, and the
directory where it works, of which nothing stays.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vms import tool
from vms.deadline import Deadline
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
_LOOK_SECONDS = 30
# Where ids of other users are given to a user, and what mmdebstrap says if there are none.
_IDS = (Path("/etc/subuid"), Path("/etc/subgid"))
_RANGE = re.compile(r"^[^:\s]+:(\d+):(\d+)$", re.MULTILINE)
_NO_IDS = re.compile("/etc/sub[ug]id (is empty|doesn't exist)|no entry in /etc/sub[ug]id")
_FIRST_ID, _ALL_IDS = 100_000, 65_536  # useradd(8) gives as many


def check_user(what: str, place: Path, *, fakechroot: bool = False) -> None:
    """Raises HostError, which says what to do, if this user may not make the user namespace in
    which mmdebstrap works, or if that may not enter `place`; `what` names the purpose. With
    `fakechroot` that program will do instead.
    """
    if os.geteuid() == 0 or (fakechroot and shutil.which("fakechroot")):
        return
    deadline = Deadline(_LOOK_SECONDS, what)
    try:
        tool.run([PROGRAM, "--unshare-helper", "true"], deadline)
    except tool.ToolFailed as error:
        said = " ".join(re.findall("^[EW]: (.*)", error.output, re.MULTILINE))
        raise HostError(
            f"{what}: this user may not make the user namespace that {PROGRAM} works in; {_grant(said)}."
            f" {PROGRAM} says: {said or error}"
        ) from error
    try:
        tool.run([PROGRAM, "--unshare-helper", "test", "-x", str(place)], deadline)
    except tool.ToolFailed as error:
        raise HostError(
            f"{what}: {PROGRAM} works as another user, who may not enter {place}; set TMPDIR to a directory"
            " to which everybody has access, such as /tmp"
        ) from error


def _grant(said: str) -> str:
    """How an administrator allows it, where mmdebstrap said this."""
    if "cannot find" in said:
        return remedy()
    if not _NO_IDS.search(said):
        return "allow user namespaces (`sysctl -a` lists the settings with userns), or do it as root"
    try:
        user = pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return "do it as root, or as a user whom this host knows"
    ranges = [found for listing in _IDS if listing.exists() for found in _RANGE.findall(listing.read_text())]
    first = max([_FIRST_ID, *(int(start) + int(count) for start, count in ranges)])
    ids = f"{first}-{first + _ALL_IDS - 1}"
    return f"as root, run: usermod --add-subuids {ids} --add-subgids {ids} {user}"


@contextmanager
def workplace(kind: str, what: str, *, fakechroot: bool = False) -> Iterator[Path]:
    """Yields a directory for mmdebstrap's TMPDIR, and removes it at the end; `what` names the
    purpose. With `fakechroot` that program will do where a user may make no namespace.

    Raises HostError if there is no mmdebstrap, no place, or if this user may not use it.
    """
    tool.require(PROGRAM, what)
    # Not in the cache: in a user namespace mmdebstrap works as another user, who may not be allowed
    # to pass through a home directory. That user may pass through this directory, not list it.
    with private_directory(kind, _remove) as scratch:
        scratch.chmod(0o711)
        check_user(what, scratch, fakechroot=fakechroot)
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
