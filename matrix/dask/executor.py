"""Guests on several machines: the client of a Dask scheduler and its workers.

Dask chooses the worker for each job. Cells prefer the worker that booted their kernel; an idle
worker may take them over and then boots the kernel too. When a worker dies, Dask gives its
unfinished jobs to others. See docs/distributed.md.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError, Future, wait
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from matrix.dask.identity import check_address, identity_path, security
from matrix.dask.site import (
    Fetched,
    RemoteTemplate,
    Site,
    Source,
    WorkerState,
    code_digest,
    prepare_worker,
    with_image,
)
from matrix.results.manifest import Surroundings
from matrix.run.executor import Executor
from matrix.run.guests import Template
from vms.deadline import Deadline
from vms.errors import HostError, LostGuest
from vms.hardware import Hardware
from vms.image import Image
from vms.image_copy import ImageCopy, copy_image
from vms.kernels.kernel import BootFiles, Kernel
from vms.program import COMMAND

if TYPE_CHECKING:
    from distributed import Client

SLOTS = "guest"
"""The Dask resource in which a worker declares how many guests it runs at a time."""

ANSWER_SECONDS = 10
_PREPARE_SECONDS = 600  # each worker receives the image, and may have to boot a kernel to prove KVM
ALONE_SECONDS = 60  # without any worker
SILENT_SECONDS = 60  # a scheduler that is busy still answers
_LOOK_EVERY = 2.0
_TICK = 0.5

P = ParamSpec("P")
T = TypeVar("T")


class DaskExecutor:
    """Runs jobs on the workers of a Dask scheduler."""

    def __init__(self, client: Client, address: str, image: ImageCopy) -> None:
        self._client = client
        self._address = address
        self._image = image
        self._sent: Any = None
        self._looked = 0.0
        self._seen = time.monotonic()

    def fetch(self, job: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> Future[T]:
        """Starts a job that fetches a kernel, on any worker."""
        return self._submit({}, job, *arguments, **named)

    def work(self, job: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> Future[T]:
        """Starts a job that runs a guest, on the worker that made its first argument if that
        worker is still there and not too busy.
        """
        first = arguments[0]
        worker = first.worker if isinstance(first, Fetched | RemoteTemplate) else ""
        near = {"workers": [worker], "allow_other_workers": True} if worker else {}
        return self._submit(near, job, *arguments, **named)

    def room(self, computing: int, waiting: int, *, waits: bool) -> bool:
        """Always True: Dask queues jobs until a worker is free."""
        return True

    def started(self, future: Future[Any]) -> bool:
        """True until the job ends: Dask does not report when a worker starts it."""
        return not future.done()

    def note_memory(self, resident: int) -> None:
        """No-op: each worker declares its own capacity."""

    def check(self) -> None:
        """Raises HostError if the scheduler is gone, or has had no worker for a minute."""
        now = time.monotonic()
        if self._client.status == "running" and now - self._looked < _LOOK_EVERY:
            return
        self._looked = now
        if slots(self._client, self._address):
            self._seen = time.monotonic()
        elif now - self._seen > ALONE_SECONDS:
            raise HostError(
                f"the Dask scheduler {self._address} has had no worker with guest slots for {ALONE_SECONDS}"
                f" s; start one with `{COMMAND} worker {self._address}` and run again: finished cells"
                " are kept"
            )

    def stop(self, under_way: Iterable[Future[Any]]) -> None:
        """No-op: Dask drops queued jobs when the connection closes. A cell already running on a
        worker finishes there; its answer is discarded.
        """

    def close(self) -> None:
        """No-op: `connected` closes the connection."""

    def work_on(self, worker: str, job: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> Future[T]:
        """Starts a job on this worker and no other."""
        there = {"workers": [worker], "allow_other_workers": False}
        return self._submit(there, job, *arguments, **named)

    def slots(self) -> dict[str, int]:
        """Waits for workers that declare guest slots; returns the number of slots by address."""
        while not (found := slots(self._client, self._address)):
            self.check()
            time.sleep(_TICK)
        return found

    def _submit(
        self, where: Mapping[str, Any], job: Callable[P, T], *arguments: P.args, **named: P.kwargs
    ) -> Future[T]:
        # On the worker, Dask replaces the future of the image by the image. pure=False: Dask must
        # not reuse an earlier result when a cell is run again.
        there = self._client.submit(
            with_image,
            self._sent_image(),
            job,
            *arguments,
            **named,
            pure=False,
            resources={SLOTS: 1},
            **where,
        )
        here: Future[T] = Future()

        # Dask's own executor would leave its future pending for ever if the worker dies between the
        # end of the job and the sending of its result.
        async def pass_on() -> None:
            try:
                here.set_result(await there)
            except CancelledError:
                here.set_exception(
                    LostGuest("the worker that ran it is gone, with the image that was sent to it")
                )
            except Exception as error:
                here.set_exception(error)

        self._client.loop.add_callback(pass_on)
        return here

    def _sent_image(self) -> Any:
        """Dask's future of the image, which workers pass on to workers that join later.

        The image is sent again if all workers that had it are gone.
        """
        while self._sent is None or self._sent.status != "finished":
            self.slots()
            send = partial(self._client.scatter, self._image, broadcast=True, hash=False, asynchronous=True)
            # The worker went away while the image was sent, or the scheduler is silent.
            with contextlib.suppress(OSError):
                self._sent = self._client.sync(send, callback_timeout=_PREPARE_SECONDS)
        return self._sent


class Workers:
    """The guests of all workers of a scheduler; `source` makes those of one worker, there."""

    def __init__(self, client: Client, address: str, source: Source, image: Callable[[], Image]) -> None:
        self._client = client
        self._address = address
        self._source = source
        self._image = image
        self._ready: tuple[Site, DaskExecutor] | None = None

    @property
    def slots(self) -> int:
        """How many guests the workers that are connected now can run at a time."""
        return sum(slots(self._client, self._address).values())

    def executor(self, jobs: int) -> Executor:
        """The executor of the workers; `jobs` is ignored, since each worker declares its own."""
        return self._prepared[1]

    def prepare(self, kernels: Sequence[Kernel]) -> Surroundings:
        """Builds the image on this machine and prepares every worker.

        Raises HostError if there are no workers, or if their code or experiments differ.
        """
        image = self._image()
        deadline = Deadline(_PREPARE_SECONDS, "preparing the workers")
        executor = DaskExecutor(self._client, self._address, copy_image(image))
        under_way = {
            executor.work_on(worker, prepare_worker, self._source, image.sha256, kernels): worker
            for worker in executor.slots()
        }
        ended: set[Future[WorkerState]] = set()
        while len(ended) < len(under_way):
            executor.check()
            if deadline.expired:
                late = ", ".join(worker for future, worker in under_way.items() if future not in ended)
                raise HostError(
                    f"the workers {late} were not ready within {deadline.seconds:g} s; stop or restart"
                    " them and run again"
                )
            alive = slots(self._client, self._address)
            under_way = {
                future: worker for future, worker in under_way.items() if future.done() or worker in alive
            }
            ended = wait(under_way, timeout=_TICK).done
        found = [future.result() for future in ended]
        if not found:
            raise HostError("every worker went away while it was prepared; start one and run again")
        site = Site(self._source, image.sha256, found[0].surroundings.agent, code_digest())
        for one in found:
            if wrong := site.differs(one):
                raise HostError(wrong)
        self._ready = site, executor
        return _merged([one.surroundings for one in found])

    @property
    def fetch(self) -> Callable[[Kernel], BootFiles]:
        """The job that fetches a kernel on a worker."""
        return self._prepared[0].fetch

    @property
    def template(self) -> Callable[[BootFiles, Hardware], Template]:
        """The job that boots a kernel on a worker."""
        return self._prepared[0].template

    @property
    def _prepared(self) -> tuple[Site, DaskExecutor]:
        assert self._ready, "prepare comes first"
        return self._ready


@contextmanager
def connected(
    address: str, source: Source, image: Callable[[], Image], *, authenticated: bool = True
) -> Iterator[Workers]:
    """Connects to the Dask scheduler at `address` (tls://host:8786).

    `image` builds the userland that all workers' guests use. Unless `authenticated`, the address
    begins with tcp://. Raises HostError if no scheduler answers, UsageError for another address.
    """
    check_address(address, authenticated=authenticated)
    # Not at the top: Dask's import takes a while, and only runs on several machines need it.
    from matrix.dask.client import SchedulerClient

    logging.getLogger("distributed").setLevel(logging.CRITICAL)  # failures are raised as exceptions
    try:
        client = SchedulerClient(
            address,
            security=security(authenticated=authenticated),
            timeout=ANSWER_SECONDS,
            set_as_default=False,
        )
    except (
        OSError,
        ValueError,
        TypeError,
        RuntimeError,
    ) as error:  # TimeoutError is an OSError; a missing TLS certificate is a RuntimeError
        raise HostError(
            f"no Dask scheduler answers at {address}: {error}; start one with `{COMMAND} scheduler`, or, if"
            f" one runs on another machine, copy its {identity_path()} to this one"
        ) from error
    try:
        yield Workers(client, address, source, image)
    finally:
        client.close(timeout=1)


def slots(client: Client, address: str) -> dict[str, int]:
    """The number of guest slots of each worker that declares any, by address.

    Raises HostError if the scheduler is gone.
    """
    try:
        if client.status != "running":
            raise OSError("it closed the connection")  # noqa: TRY301 (one message for both)
        # scheduler_info waits for a scheduler that is there and silent for ever.
        ask = client.scheduler.identity
        workers = client.sync(ask, n_workers=-1, callback_timeout=SILENT_SECONDS)["workers"]
    except OSError as error:
        wrong = f"did not answer for {SILENT_SECONDS} s" if isinstance(error, TimeoutError) else error
        raise HostError(
            f"the Dask scheduler {address} is gone ({wrong}); start it and run again: finished cells are kept"
        ) from error
    return {
        address: int(about["resources"][SLOTS])
        for address, about in workers.items()
        if about["resources"].get(SLOTS)
    }


def _merged(each: list[Surroundings]) -> Surroundings:
    """The surroundings of all workers as one: values that may differ are listed."""

    def listed(values: list[str]) -> str:
        return " / ".join(sorted(set(values)))

    first = each[0]
    return Surroundings(
        image=first.image,
        agent=first.agent,
        qemu=listed([one.qemu for one in each]),
        accelerator=listed([one.accelerator for one in each]),
        why=listed([one.why for one in each]),
        cpu=listed([one.cpu for one in each]),
        image_packages=first.image_packages,
    )
