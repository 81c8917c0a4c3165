from __future__ import annotations

import gc
import subprocess
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from distributed import Client

from matrix.dask.executor import connected
from matrix.results.directory import RunDirectory
from matrix.results.record import Status
from matrix.run.runner import execute
from tests.support.dask_runs import NAMES, PLAN, MakeImage, run
from tests.support.dask_site import Site
from tests.support.fake_worker import FakeSource
from tests.support.fakes import FakeGuests, Seen
from tests.support.runs import open_for
from vms.errors import HostError

pytestmark = pytest.mark.slow  # real Dask schedulers and workers


def test_workers_give_the_same_results_as_this_machine(
    site: Site, source: FakeSource, image: MakeImage, tmp_path: Path
) -> None:
    site.worker()
    site.worker()
    with connected(site.address, source, image) as workers:
        assert workers.slots == 2
        found = run(workers, tmp_path / "far")
    asked = source.asked()
    local = open_for(PLAN, tmp_path / "near")
    execute(PLAN, FakeGuests(source.behave), local, 1, Seen())
    local.close(finished=True)

    def facts(directory: RunDirectory) -> dict[object, object]:
        return {
            key: (record.status, record.facts, record.evidence, record.attempts)
            for key, record in directory.records.items()
        }

    assert facts(found) == facts(local)
    assert (found.path / "cells/6.1.2/e3/name.txt").read_text() == "6.1.2 e3 "
    assert len(asked) == 2
    assert sum(asked.values(), Counter()) == Counter(NAMES)


def test_a_worker_that_joins_later_runs_cells_too(
    site: Site, source: FakeSource, image: MakeImage, tmp_path: Path
) -> None:
    first = site.worker()
    source.hold(first.pid, 1)

    class Joining(Seen):
        late: subprocess.Popen[str] | None = None
        released = False

        def tick(self) -> None:
            self.late = self.late or site.worker()
            if source.asked().get(self.late.pid, Counter()).total() >= 2 and not self.released:
                self.released = True
                source.release(first.pid)

    seen = Joining()
    with connected(site.address, source, image) as workers:
        run(workers, tmp_path / "far", seen)
    assert seen.released


def test_a_worker_with_other_experiments_is_refused(site: Site, source: FakeSource, image: MakeImage) -> None:
    site.worker()
    site.worker(FAKE_AGENT="99" * 32)
    with (
        connected(site.address, source, image) as workers,
        pytest.raises(HostError, match=r"the worker tls://127.0.0.1:\d+ has other experiments"),
    ):
        workers.prepare(PLAN.kernels)


def test_a_worker_with_other_experiments_that_joins_later_gives_no_answer(
    site: Site, source: FakeSource, image: MakeImage, tmp_path: Path
) -> None:
    first = site.worker()
    with connected(site.address, source, image) as workers:
        workers.prepare(PLAN.kernels)
        site.worker(FAKE_AGENT="99" * 32)
        first.kill()
        first.wait()
        directory = open_for(PLAN, tmp_path)
        execute(PLAN, workers, directory, 1, Seen())
        directory.close(finished=True)
    assert {record.status for record in directory.records.values()} == {Status.ERROR}
    assert all("has other experiments" in record.reason for record in directory.records.values())
    assert source.asked() == {}


@pytest.mark.fault(phase="workers", fault="scheduler silent", outcome="an error within the deadline")
def test_a_scheduler_that_does_not_answer_is_an_error_with_what_to_start(
    source: FakeSource, image: MakeImage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("matrix.dask.executor.ANSWER_SECONDS", 1)
    with (
        pytest.raises(HostError, match=r"no Dask scheduler answers at tls://127.0.0.1:1: .*invoke scheduler"),
        connected("tls://127.0.0.1:1", source, image),
    ):
        pass


def test_what_ended_an_attempt_to_connect_again_does_not_hide_why_a_run_ended(
    site: Site, source: FakeSource, image: MakeImage, monkeypatch: pytest.MonkeyPatch
) -> None:
    close = Client.close

    def closing(client: Any, *arguments: Any, **named: Any) -> None:
        close(client, *arguments, **named)
        raise ValueError("IOStream is not idle; cannot convert to SSL")

    monkeypatch.setattr(Client, "close", closing)
    with pytest.raises(HostError, match="is gone"), connected(site.address, source, image):
        raise HostError("the scheduler is gone")
    gc.collect()  # closes it once more


@pytest.mark.fault(phase="workers", fault="tool interrupted", outcome="workers serve the next run")
def test_workers_of_an_interrupted_run_serve_the_next_one(
    site: Site, source: FakeSource, image: MakeImage, tmp_path: Path
) -> None:
    site.worker()

    class Interrupting(Seen):
        def tick(self) -> None:
            if self.records:
                self.asked = time.monotonic()
                raise KeyboardInterrupt

    seen = Interrupting()
    with (
        pytest.raises(KeyboardInterrupt),
        connected(site.address, FakeSource(source.directory, seconds=0.5), image) as workers,
    ):
        run(workers, tmp_path / "far", seen)
    assert time.monotonic() - seen.asked < 300
    before, asked = -1, 0
    while asked != before:  # the scheduler may be slow to tell the worker
        before = asked
        time.sleep(1.5)
        asked = sum(source.asked().values(), Counter()).total()
    assert 0 < asked < len(NAMES)
    with connected(site.address, source, image) as workers:
        found = run(workers, tmp_path / "again")
    assert {record.status for record in found.records.values()} == {Status.PASS}
