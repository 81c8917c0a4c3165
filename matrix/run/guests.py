"""What a run needs of the machines: the seam between `matrix/` and `vms/`, and where tests put fake
guests.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from matrix.results.manifest import Surroundings
from matrix.run.executor import Executor
from vms.deadline import Deadline
from vms.kernels.kernel import BootFiles, Kernel


class Guest(Protocol):
    """One running guest."""

    @property
    def crashed(self) -> str | None:
        """The kernel's words if it panicked or oopsed."""

    def ask(self, request: bytes, deadline: Deadline) -> bytes:
        """Sends one line and gives the answer's. Raises LostGuest."""

    @property
    def resident(self) -> int:
        """Bytes of memory that it took for itself."""

    def console(self) -> str:
        """All the console printed."""


class Template(Protocol):
    """A kernel of which guests can be started."""

    def make(self) -> None:
        """Makes sure that a guest can start at once. Raises HostError."""

    def start(self) -> AbstractContextManager[Guest]:
        """A new guest, ended with the context: a clone where cloning works, else a cold boot.

        Raises LostGuest.
        """


class Guests(Protocol):
    """Where guests come from.

    `fetch` and `template` are jobs for the executor; they may take minutes, bound them and raise
    HostError.
    """

    def executor(self, jobs: int) -> Executor:
        """Who runs them, at most `jobs` guests at a time on this machine."""

    def prepare(self, kernels: Sequence[Kernel]) -> Surroundings:
        """Gets what all guests share: image and accelerator.

        One of the kernels may be booted to prove the accelerator.
        """

    def fetch(self, kernel: Kernel) -> BootFiles:
        """The kernel's files, verified."""

    def template(self, files: BootFiles, cpus: int) -> Template:
        """Boots the kernel once, or takes the template of an earlier boot."""
