"""System calls and errno names that Python's library lacks (or has only from 3.12 on)."""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

WAIT_SECONDS = 600
"""How long a program, or an answer of the kernel, is waited for. The host ends a cell before that,
at a limit that reckons with a slow kernel and a busy host.
"""

CLONE_NEWNS = 0x00020000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

_MCL_CURRENT, _MCL_FUTURE = 1, 2
_SYS_DELETE_MODULE = 176  # on x86-64
_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4
_NOBODY = 65534

_libc = ctypes.CDLL(None, use_errno=True)


def _checked(result: int, what: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result


def unshare(flags: int) -> None:
    """unshare(2): moves this process (for CLONE_NEWPID: its children) into new namespaces."""
    _checked(_libc.unshare(ctypes.c_int(flags)), "unshare")


def setns(fd: int, kind: int) -> None:
    """setns(2): moves this process (for CLONE_NEWPID: its children) into the namespace behind
    `fd`.
    """
    _checked(_libc.setns(ctypes.c_int(fd), ctypes.c_int(kind)), "setns")


def die_with_parent(signal: int) -> None:
    """Asks the kernel to send `signal` to this process when its parent ends."""
    _checked(_libc.prctl(_PR_SET_PDEATHSIG, signal, 0, 0, 0), "prctl(PR_SET_PDEATHSIG)")


def set_dumpable() -> None:
    """Makes this process the owner of its /proc/self again after a change of user, so that it may
    write its own id maps.
    """
    _checked(_libc.prctl(_PR_SET_DUMPABLE, 1, 0, 0, 0), "prctl(PR_SET_DUMPABLE)")


@contextmanager
def powerless() -> Iterator[None]:
    """Runs the `with` block of root's without any capability."""
    os.seteuid(_NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


def getsockopt(fd: int, level: int, option: int, value: bytes) -> bytes:
    """getsockopt(2) for options whose buffer also says what is wanted: `value` is what it holds
    before the call, the result what it holds after it.
    """
    buffer = ctypes.create_string_buffer(value, len(value))
    size = ctypes.c_uint32(len(value))
    _checked(_libc.getsockopt(fd, level, option, buffer, ctypes.byref(size)), "getsockopt")
    return buffer.raw[: size.value]


def delete_module(name: str) -> None:
    """delete_module(2) without waiting for those who use the module."""
    _checked(_libc.syscall(_SYS_DELETE_MODULE, name.encode(), os.O_NONBLOCK), "delete_module")


def inotify() -> int:
    """inotify_init1(2): a descriptor that never blocks."""
    return _checked(_libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC), "inotify_init1")


def inotify_watch(fd: int, path: str, mask: int) -> int:
    """inotify_add_watch(2): the number of the watch, as events have it."""
    return _checked(_libc.inotify_add_watch(fd, path.encode(), ctypes.c_uint32(mask)), f"inotify: {path}")


def errno_name(error: OSError) -> str:
    """The name of an errno, such as EACCES: short, and the same in every language."""
    return errno.errorcode.get(error.errno or 0, f"errno {error.errno}")


def outlive_others() -> None:
    """Lets this process go on where others take all memory or all processor time: it runs before
    others, its memory is never paged out, and the kernel does not kill it when memory runs out. Its
    children inherit only the last of these.
    """
    _checked(_libc.mlockall(_MCL_CURRENT | _MCL_FUTURE), "mlockall")
    os.sched_setscheduler(0, os.SCHED_FIFO | os.SCHED_RESET_ON_FORK, os.sched_param(1))
    Path("/proc/self/oom_score_adj").write_text("-1000")


def die_before_others() -> None:
    """Makes the kernel kill this process before others when memory runs out."""
    Path("/proc/self/oom_score_adj").write_text("1000")
