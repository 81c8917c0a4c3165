"""The errors outside experiments.

    MatrixError              one message for the user, never a traceback; exit code 3 by default
    +-- UsageError           the user requested something unknown or malformed; exit code 2
    +-- HostError            this machine cannot do it (tools, disk, network, QEMU)
        +-- FetchError       a kernel or package cannot be fetched or verified
            +-- Vanished     its archive answers that it does not have it
        +-- Unbootable       a kernel lacks what a guest's boot needs, or only prints
        +-- LostGuest        a guest did not boot, did not answer in time or went away

A lost guest says nothing about its kernel: the run retries the cell and then records `error`.
"""

from __future__ import annotations

_MESSAGE_CHARACTERS = 10_000
_NAME_CHARACTERS = 200


class MatrixError(Exception):
    """An error that the user reads as one message: what was tried, what was found, what to do.

    The message may quote a guest, a package or a program: it passes the gate `shown`.
    """

    exit_code = 3

    def __init__(self, message: str) -> None:
        super().__init__(_shown(message, _MESSAGE_CHARACTERS))


def _shown(text: str, most: int) -> str:
    # Not imported above: what only names the errors, such as the data of a kernel, loads no more.
    from vms.text import shown

    return shown(text, most)


def plain_error(error: Exception) -> str:
    """The error in one phrase without a number: `Too many open files: /dev/null`."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror + (
            f": {_shown(str(error.filename), _NAME_CHARACTERS)}" if error.filename else ""
        )
    return str(error)


class UsageError(MatrixError):
    """The user requested something that does not exist or is malformed."""

    exit_code = 2


class HostError(MatrixError):
    """This machine cannot do it: a tool, disk space, the network or QEMU is missing."""


class FetchError(HostError):
    """A kernel or package could not be fetched, or its bytes are not what its source signed."""


class Vanished(FetchError):
    """The archive no longer has what its lists name, as happens to a build when a newer one is
    published.
    """


class Unbootable(HostError):
    """A kernel lacks what the boot of a guest needs, or prints without end instead. Retrying does
    not help.
    """


class LostGuest(HostError):
    """A guest did not boot, did not answer in time, or ended.

    `console` has the last lines of its console; they are part of the message.
    """

    def __init__(self, message: str, console: str = "") -> None:
        self.console = console
        super().__init__(f"{message}\nlast console lines:\n{console}" if console else message)
