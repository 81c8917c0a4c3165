"""The jobs of a run that are sent to workers and run there.

A job carries settings, a kernel's description and, once per worker, the image. The worker uses its
own cache, fetches the kernel and boots its own template; only answers travel back.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Hashable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from threading import Lock
from typing import ParamSpec, TypeVar

from matrix.plan.config import Config
from matrix.plan.project import Project
from matrix.results.manifest import Surroundings
from matrix.run.guests import Guest, Guests, Template
from matrix.run.machines import Machines
from vms.boot import Boot
from vms.cache import Cache
from vms.errors import HostError
from vms.hardware import Hardware
from vms.image import Image
from vms.image_copy import ImageCopy, receive_image
from vms.kernels.kernel import BootFiles, Kernel
from vms.program import CODE, WORK
from vms.settings import Debian

Source = Callable[[Image], Guests]
"""Makes a worker's guests with this image. It is hashable and is sent to the worker."""

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True)
class WorkerMachines:
    """Makes guests on the worker's machine.

    The settings are those of the run; cache and experiments are the worker's own.
    """

    debian: Debian
    accelerator: str
    offline: bool
    own_experiments: str

    @classmethod
    def of(cls, machines: Machines) -> WorkerMachines:
        """With the settings of these machines."""
        config = machines.project.config
        return cls(config.debian, machines.requested, machines.project.offline, config.own_experiments)

    def __call__(self, image: Image) -> Guests:
        """Builds the worker's own guests, in the worker's process."""
        config = Config(own_experiments=self.own_experiments, debian=self.debian)
        project = Project(WORK, config, Cache.default(), self.offline)
        return Machines(project, self.accelerator, image=image)


@dataclass(frozen=True)
class WorkerState:
    """A worker's address, its surroundings, and a digest of this project's code there."""

    worker: str
    surroundings: Surroundings
    code: str


@dataclass(frozen=True)
class Fetched(BootFiles):
    """A kernel's files, and the address of the worker that has them."""

    worker: str = ""


@dataclass(frozen=True)
class Site:
    """The guests of a run, on whichever worker a job runs.

    All that could change an answer is the same on every worker: `image`, `agent` and `code` are
    digests.
    """

    source: Source
    image: str
    agent: str
    code: str

    def fetch(self, kernel: Kernel) -> BootFiles:
        """Fetches the kernel's files to the worker that runs this job."""
        files = self.guests(kernel).fetch(kernel)
        return Fetched(**vars(files), worker=worker_address())

    def template(self, files: BootFiles, hardware: Hardware) -> Template:
        """Boots a template on the worker that runs this job."""
        template = RemoteTemplate(self, files.kernel, hardware, worker_address())
        template.make()
        return replace(template, boot=template.reported())

    def guests(self, kernel: Kernel) -> Guests:
        """The worker's guests. Raises HostError if its code or experiments differ."""

        def make() -> Guests:
            wrong = self.differs(prepare_worker(self.source, self.image, [kernel]))
            if wrong:
                raise HostError(wrong)
            return _guests(self.source, self.image)

        return _once((self, "guests"), make)

    def differs(self, found: WorkerState) -> str:
        """How the worker differs from the run, and what to do; empty if it does not."""
        if found.code != self.code:
            return (
                f"the worker {found.worker} has another version of this project; put the same on every"
                " machine and start it again"
            )
        if found.surroundings.agent != self.agent:
            return (
                f"the worker {found.worker} has other experiments; make `own_experiments` the same on every"
                " machine and start it again"
            )
        return ""


@dataclass(frozen=True)
class RemoteTemplate:
    """A template that any worker can make; `worker` has it already, and saw the kernel report
    `boot`.
    """

    site: Site
    kernel: Kernel
    hardware: Hardware
    worker: str
    boot: Boot = field(default_factory=Boot)

    def reported(self) -> Boot:
        """What the kernel reported on the worker that runs this job."""
        return self._local().boot

    def make(self) -> None:
        """Boots the kernel on the worker that runs this job, unless that was done."""
        self._local().make()

    def start(self) -> AbstractContextManager[Guest]:
        """Starts a guest on the worker that runs this job."""
        return self._local().start()

    def _local(self) -> Template:
        guests = self.site.guests(self.kernel)
        return _once(
            (self.site, self.kernel, self.hardware),
            lambda: guests.template(guests.fetch(self.kernel), self.hardware),
        )


def prepare_worker(source: Source, image: str, kernels: Sequence[Kernel]) -> WorkerState:
    """Builds image and accelerator on the worker that runs this job, and returns its state."""
    return WorkerState(worker_address(), _guests(source, image).prepare(kernels), code_digest())


def with_image(copy: ImageCopy, job: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
    """Stores the image on the worker unless it has it, then runs the job."""
    _once(("image", copy.sha256), lambda: receive_image(copy, Cache.default()))
    return job(*arguments, **named)


def worker_address() -> str:
    """The address of the worker that runs this job."""
    from distributed import get_worker

    return str(get_worker().address)


def code_digest() -> str:
    """A digest of the names and contents of all files of this project that run on a worker."""
    digest = hashlib.sha256()
    for package in (CODE / "matrix", CODE / "vms", CODE / "guest"):
        for path in sorted(package.rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                content = path.read_bytes()
                digest.update(f"\n{path.relative_to(package)} {len(content)}\n".encode() + content)
    return digest.hexdigest()


def _guests(source: Source, image: str) -> Guests:
    received = _made["image", image]
    assert isinstance(received, Image)
    return _once((source, image), lambda: source(received))


_lock = Lock()
_locks: dict[Hashable, Lock] = {}
_made: dict[Hashable, object] = {}


def _once(key: Hashable, make: Callable[[], T]) -> T:
    """Returns what `make` returned for this key in this process, calling it the first time.

    Threads with the same key wait for each other. A failure is not remembered.
    """
    with _lock:
        lock = _locks.setdefault(key, Lock())
    with lock:
        if key not in _made:
            _made[key] = make()
        return _made[key]  # type: ignore[return-value]
