"""What can go wrong outside an experiment.

    MatrixError              one message for the user, never a traceback; exit code 3 unless said
    +-- UsageError           what the user asked for does not exist or is malformed; exit code 2
    +-- HostError            this machine cannot do it (tools, disk, network, QEMU)
        +-- FetchError       a kernel or package could not be had, or is not what it claims
            +-- Vanished     its archive answers that it does not have it
        +-- Unbootable       a kernel lacks what a guest's boot needs
        +-- LostGuest        a guest did not boot, did not answer in time or went away

A lost guest is never a kernel's verdict: the run retries it and then records `error`.
"""

from __future__ import annotations


class MatrixError(Exception):
    """Anything this project reports in one message: what was being done, what was found, what to
    do.
    """

    exit_code = 3


class UsageError(MatrixError):
    """The user asked for something that does not exist or is malformed."""

    exit_code = 2


class HostError(MatrixError):
    """This machine cannot do what is asked: a tool, disk space, the network or QEMU is missing."""


class FetchError(HostError):
    """A kernel or package could not be fetched, or its bytes are not what its source signed."""


class Vanished(FetchError):
    """The archive answers that it does not have what its own lists name, as happens to a build once
    a newer one is out.
    """


class Unbootable(HostError):
    """A kernel lacks what a guest's boot needs. Trying again will not help."""


class LostGuest(HostError):
    """A guest did not boot, did not answer in time, or went away.

    `console` holds the last lines its console printed; they are part of the message.
    """

    def __init__(self, message: str, console: str = "") -> None:
        self.console = console
        super().__init__(f"{message}\nlast console lines:\n{console}" if console else message)
