"""What a run needs of virtual machines: the seam between `matrix/` and `vms/`.

Tests implement these protocols with fake guests.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from matrix.results.manifest import Surroundings
from matrix.run.executor import Executor
from vms.answer import Answer
from vms.boot import Boot
from vms.deadline import Deadline
from vms.hardware import Hardware
from vms.kernels.kernel import BootFiles, Kernel


class Guest(Protocol):
    """One running guest."""

    @property
    def crashed(self) -> str | None:
        """The kernel's message if it panicked or oopsed."""

    def ask(self, request: bytes, deadline: Deadline, limit: Deadline | None = None) -> Answer:
        """Sends a request of one line and returns the answer; what it asks for is ended at the
        limit, if there is one. Raises LostGuest.
        """

    @property
    def resident(self) -> int:
        """Bytes of memory that the guest uses and does not share with its template."""

    def console(self) -> str:
        """All that the guest's console has printed."""


class Template(Protocol):
    """A kernel that was booted, from which guests can be started."""

    @property
    def boot(self) -> Boot:
        """What the kernel reported of itself while it booted."""

    def make(self) -> None:
        """Boots the kernel and saves it, unless that was done. Raises HostError."""

    def start(self) -> AbstractContextManager[Guest]:
        """A new guest that ends with the context: a clone where cloning works, else a cold boot.

        Raises LostGuest.
        """


class Guests(Protocol):
    """Makes guests of any kernel.

    `fetch` and `template` are jobs for the executor. They may take minutes, end in bounded time
    and raise HostError.
    """

    def executor(self, jobs: int) -> Executor:
        """The executor that runs the jobs, with at most `jobs` computing guests on this machine."""

    def prepare(self, kernels: Sequence[Kernel]) -> Surroundings:
        """Builds the image that all guests share, and chooses the accelerator.

        One of the kernels may be booted to prove that KVM works.
        """

    def fetch(self, kernel: Kernel) -> BootFiles:
        """Downloads the kernel's files, unless they are cached, and verifies them."""

    def template(self, files: BootFiles, hardware: Hardware) -> Template:
        """Boots the kernel once, or loads the template of an earlier boot."""
