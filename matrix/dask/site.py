"""What a worker on another machine does for a run: all here is sent there by name, and runs there.

A job brings settings, a kernel's description and, once, the image. The worker has its own cache,
gets the kernel itself and boots a template of its own; only answers travel back.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Hashable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import ParamSpec, TypeVar

from matrix.plan.catalogue import own_directory
from matrix.results.manifest import Surroundings
from matrix.run.guests import Guest, Guests, Template
from matrix.run.machines import Machines
from vms.cache import Cache
from vms.errors import HostError
from vms.image import Image
from vms.image_copy import ImageCopy, receive_image
from vms.kernels.kernel import BootFiles, Kernel
from vms.settings import Debian

Source = Callable[[Image], Guests]
"""Makes a worker's guests with this image; hashable, and sent to it."""

_ROOT = Path(__file__).parents[2]
P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True)
class WorkerMachines:
    """A worker's guests are its own machine's.

    The settings are those of the run; its cache, mirror and experiments the worker's own.
    """

    debian: Debian
    accelerator: str
    offline: bool
    own_experiments: str

    def __call__(self, image: Image) -> Guests:
        """Made where it is called."""
        own = own_directory(self.own_experiments, _ROOT)
        return Machines(self.debian, Cache.default(), self.accelerator, self.offline, own=own, image=image)


@dataclass(frozen=True)
class WorkerState:
    """What a worker has: its address, its surroundings, and a digest of this project's code
    there.
    """

    worker: str
    surroundings: Surroundings
    code: str


@dataclass(frozen=True)
class Fetched(BootFiles):
    """A kernel's files on a worker."""

    worker: str = ""


@dataclass(frozen=True)
class Site:
    """Where jobs find guests.

    All that could change an answer is the same everywhere: `image`, `agent` and `code` are digests.
    """

    source: Source
    image: str
    agent: str
    code: str

    def fetch(self, kernel: Kernel) -> BootFiles:
        """The kernel's files on the worker that runs this."""
        files = self.guests(kernel).fetch(kernel)
        return Fetched(**vars(files), worker=worker_address())

    def template(self, files: BootFiles, cpus: int) -> Template:
        """A template on the worker that runs this."""
        template = RemoteTemplate(self, files.kernel, cpus, worker_address())
        template.make()
        return template

    def guests(self, kernel: Kernel) -> Guests:
        """The worker's guests. Raises HostError if they are not those of the run."""

        def make() -> Guests:
            wrong = self.differs(prepare_worker(self.source, self.image, [kernel]))
            if wrong:
                raise HostError(wrong)
            return _guests(self.source, self.image)

        return _once((self, "guests"), make)

    def differs(self, found: WorkerState) -> str:
        """In what the worker is not like the others, and what to do; empty if it is like them."""
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
    """A template that can be had on any worker; on `worker` it is there already."""

    site: Site
    kernel: Kernel
    cpus: int
    worker: str

    def make(self) -> None:
        """Boots the kernel on the worker that runs this, unless that was done."""
        self._here().make()

    def start(self) -> AbstractContextManager[Guest]:
        """A guest on the worker that runs this."""
        return self._here().start()

    def _here(self) -> Template:
        guests = self.site.guests(self.kernel)
        return _once(
            (self.site, self.kernel, self.cpus), lambda: guests.template(guests.fetch(self.kernel), self.cpus)
        )


def prepare_worker(source: Source, image: str, kernels: Sequence[Kernel]) -> WorkerState:
    """Gets the worker that runs this ready, and says what it has."""
    return WorkerState(worker_address(), _guests(source, image).prepare(kernels), code_digest())


def with_image(copy: ImageCopy, job: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
    """Runs a job on a worker that has received the image."""
    _once(("image", copy.sha256), lambda: receive_image(copy, Cache.default()))
    return job(*arguments, **named)


def worker_address() -> str:
    """The address of the worker that runs this."""
    from distributed import get_worker

    return str(get_worker().address)


def code_digest() -> str:
    """Changes with any byte or name of the code that runs on a worker."""
    digest = hashlib.sha256()
    for package in (_ROOT / "matrix", _ROOT / "vms", _ROOT / "guest"):
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
    """What `make` gave in this process; threads that want the same wait for each other.

    A failure is not remembered.
    """
    with _lock:
        lock = _locks.setdefault(key, Lock())
    with lock:
        if key not in _made:
            _made[key] = make()
        return _made[key]  # type: ignore[return-value]
