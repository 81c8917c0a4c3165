"""Workers and schedulers that die while a run needs them."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections import Counter
from collections.abc import Callable, Coroutine
from concurrent.futures import CancelledError
from pathlib import Path
from typing import Any

import pytest

from matrix.dask.executor import DaskExecutor, connected
from matrix.results.record import Status
from tests.support.dask_runs import NAMES, PLAN, MakeImage, run
from tests.support.dask_site import Site
from tests.support.fake_worker import FakeSource
from tests.support.fakes import Seen
from vms.errors import HostError, LostGuest
from vms.image import Image
from vms.image_copy import copy_image

pytestmark = pytest.mark.slow  # real Dask schedulers and workers


@pytest.mark.fault(phase="workers", fault="worker killed", outcome="its unfinished cells run elsewhere")
def test_only_unfinished_cells_of_a_worker_that_dies_run_again(
    site: Site, source: FakeSource, image: MakeImage, tmp_path: Path
) -> None:
    doomed = site.worker()
    other = site.worker()
    source.hold(doomed.pid, 3)
    killed = threading.Event()

    class Killing(Seen):
        def tick(self) -> None:
            if source.asked().get(doomed.pid, Counter()).total() >= 3 and not killed.is_set():
                doomed.kill()
                killed.set()

    seen = Killing()
    with connected(site.address, source, image) as workers:
        found = run(workers, tmp_path / "far", seen)
    assert killed.is_set()
    assert {record.status for record in found.records.values()} == {Status.PASS}
    assert len(seen.records) == len(PLAN.cells)
    asked = sum(source.asked().values(), Counter())
    assert set(asked) == set(NAMES)
    # The worker was running one cell, and may have had two answers that were not sent yet.
    assert asked.total() - len(NAMES) <= 3
    assert source.asked()[other.pid].total() > len(NAMES) / 2


@pytest.mark.fault(phase="workers", fault="worker killed", outcome="new workers continue")
def test_new_workers_continue_when_all_workers_have_died(
    site: Site, source: FakeSource, image: MakeImage, tmp_path: Path
) -> None:
    first = site.worker()
    source.hold(first.pid, 3)

    class Replacing(Seen):
        def tick(self) -> None:
            if self.records and first.poll() is None:
                first.kill()
                first.wait()
                site.worker()

    with connected(site.address, source, image) as workers:
        found = run(workers, tmp_path / "far", Replacing())
    assert {record.status for record in found.records.values()} == {Status.PASS}
    assert len(source.asked()) == 2


@pytest.mark.fault(phase="workers", fault="no worker", outcome="an error after a minute")
def test_a_run_without_workers_ends_after_a_minute_with_what_to_start(
    site: Site, source: FakeSource, image: MakeImage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("matrix.dask.executor.ALONE_SECONDS", 1)
    with (
        connected(site.address, source, image) as workers,
        pytest.raises(HostError, match=f"no worker with guest slots for 1 s.*{site.address}"),
    ):
        workers.prepare(PLAN.kernels)


@pytest.mark.fault(phase="workers", fault="scheduler killed", outcome="an error; finished cells are kept")
def test_a_run_whose_scheduler_dies_ends_and_keeps_finished_cells(
    site: Site, source: FakeSource, image: MakeImage, tmp_path: Path
) -> None:
    source.hold(site.worker().pid, 3)

    class Killing(Seen):
        def tick(self) -> None:
            if self.records:
                site.scheduler.kill()

    seen = Killing()
    with (
        connected(site.address, source, image) as workers,
        pytest.raises(HostError, match="is gone"),
    ):
        run(workers, tmp_path / "far", seen)
    assert 0 < len(seen.records) < len(PLAN.cells)
    assert {record.status for record in seen.records} == {Status.PASS}


@pytest.mark.fault(phase="workers", fault="scheduler silent", outcome="an error; finished cells are kept")
def test_a_run_whose_scheduler_stops_answering_ends_and_keeps_finished_cells(
    site: Site, source: FakeSource, image: MakeImage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source.hold(site.worker().pid, 3)

    class Stopping(Seen):
        def tick(self) -> None:
            if self.records:  # not earlier: a busy one may be silent for as long
                monkeypatch.setattr("matrix.dask.executor.SILENT_SECONDS", 3)
                site.scheduler.send_signal(signal.SIGSTOP)

    seen = Stopping()
    with (
        connected(site.address, source, image) as workers,
        pytest.raises(HostError, match=r"is gone \(did not answer for 3 s"),
    ):
        run(workers, tmp_path / "far", seen)
    assert 0 < len(seen.records) < len(PLAN.cells)


@pytest.mark.fault(phase="workers", fault="scheduler silent", outcome="an error; no image is waited for")
def test_a_scheduler_that_stops_answering_while_the_image_is_sent_is_an_error(
    site: Site, source: FakeSource, image: MakeImage, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.worker()

    def stop() -> Image:
        monkeypatch.setattr("matrix.dask.executor.SILENT_SECONDS", 3)
        monkeypatch.setattr("matrix.dask.executor._PREPARE_SECONDS", 3)
        site.scheduler.send_signal(signal.SIGSTOP)
        return image()

    with (
        connected(site.address, source, stop) as workers,
        pytest.raises(HostError, match=r"is gone \(did not answer for 3 s"),
    ):
        workers.prepare(PLAN.kernels)


@pytest.mark.fault(phase="workers", fault="scheduler killed", outcome="workers end")
def test_a_worker_ends_when_its_scheduler_dies(site: Site) -> None:
    worker = site.worker()
    site.scheduler.kill()
    assert worker.wait(300) == 0


class LosesResults:
    """A Dask client whose worker ends each job and dies before its result is fetched."""

    status = "running"

    def __init__(self) -> None:
        self.loop = self.scheduler = self

    def sync(self, ask: Callable[..., object], callback_timeout: float, **named: object) -> object:
        return ask(**named)

    def identity(self, **_: object) -> dict[str, object]:
        return {"workers": {"tcp://10.0.0.1:1": {"resources": {"guest": 1}}}}

    def scatter(self, *_: object, **__: object) -> object:
        return type("Sent", (), {"status": "finished"})

    def add_callback(self, callback: Callable[[], Coroutine[None, None, None]]) -> None:
        asyncio.run(callback())

    async def submit(self, *_: object, **__: object) -> None:
        raise CancelledError


def test_a_job_whose_result_is_lost_with_its_worker_ends_as_a_lost_guest(image: MakeImage) -> None:
    client: Any = LosesResults()
    job = DaskExecutor(client, "tcp://10.0.0.1:8786", copy_image(image())).fetch(int, "1")
    assert isinstance(job.exception(timeout=0), LostGuest)
