from __future__ import annotations

import errno
import json
import os
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from matrix.plan.plan import Plan, make_plan
from matrix.results.directory import RunDirectory, read_run
from matrix.results.record import Status
from matrix.run.attempts import ATTEMPTS
from matrix.run.runner import execute
from tests.support.fakes import FakeGuests, Seen, answer, make_experiment, make_kernel
from tests.support.runs import open_for
from vms.answer import Answer
from vms.boot import Boot
from vms.errors import FetchError, LostGuest, Unbootable

KERNELS = [make_kernel("5.10.1"), make_kernel("6.1.2")]
PLAN = make_plan(
    KERNELS, [make_experiment("baseline", variants={"frontend": ("legacy", "nft")}), make_experiment("other")]
)


def run(guests: FakeGuests, results: Path, plan: Plan = PLAN, jobs: int = 2) -> tuple[RunDirectory, Seen]:
    directory, seen = open_for(plan, results), Seen()
    execute(plan, guests, directory, jobs, seen)
    directory.close(finished=True)
    return directory, seen


def statuses(directory: RunDirectory) -> dict[tuple[str, str, str], str]:
    return {key: record.status for key, record in directory.records.items()}


def test_every_cell_runs_in_a_separate_guest_and_is_stored(tmp_path: Path) -> None:
    guests = FakeGuests()
    directory, seen = run(guests, tmp_path)
    assert statuses(directory) == {cell.key: Status.PASS for cell in PLAN.cells}
    assert len(guests.most) == len(PLAN.cells)
    assert sorted(guests.templates) == [("5.10.1", 1), ("6.1.2", 1)]
    assert len(seen.records) == len(PLAN.cells)
    manifest, records = read_run(tmp_path / "latest")
    assert manifest.finished
    assert [entry.uname for entry in manifest.kernels] == ["5.10.1-cloud-amd64", "6.1.2-cloud-amd64"]
    assert len(records) == len(PLAN.cells)
    results = json.loads((directory.path / "results.json").read_bytes())
    assert {"kernel", "experiment", "variant", "status", "facts", "reason", "seconds"} <= results[0].keys()
    cell = directory.path / "cells/6.1.2/baseline/frontend=nft"
    assert (cell / "console.log").read_text() == "6.1.2 booting\n"


def test_what_a_kernel_reports_in_any_of_its_boots_is_in_the_manifest(tmp_path: Path) -> None:
    guests = FakeGuests(boots={1: Boot(1), 2: Boot(4)})
    plan = make_plan(KERNELS[:1], [make_experiment("one"), make_experiment("two", cpus=2)])
    run(guests, tmp_path, plan)
    manifest, _ = read_run(tmp_path / "latest")
    assert [kernel.boot for kernel in manifest.kernels] == [Boot(5)]


def test_no_more_guests_run_than_jobs(tmp_path: Path) -> None:
    two = threading.Event()

    def meet(_kernel: str, request: dict[str, Any]) -> Answer:
        if len(guests.running) == 2:
            two.set()
        assert two.wait(60)
        time.sleep(0.02)  # in which more than two could begin
        return answer(request)

    guests = FakeGuests(meet)
    run(guests, tmp_path, jobs=2)
    assert max(guests.most) == 2


def test_cells_that_only_wait_do_not_count_against_jobs(tmp_path: Path) -> None:
    others = threading.Event()
    asked = []

    def behave(_kernel: str, request: dict[str, Any]) -> Answer:
        if request["experiment"] == "waits":
            assert others.wait(60), "cells that compute did not run beside those that wait"
        else:
            asked.append(request["experiment"])
            if len(asked) == 2:
                others.set()
        return answer(request)

    directory, _ = run(
        FakeGuests(behave),
        tmp_path,
        make_plan(KERNELS, [make_experiment("waits", waits=True), make_experiment("other")]),
        jobs=1,
    )
    assert set(statuses(directory).values()) == {Status.PASS}


def test_a_row_of_each_topic_goes_first_and_then_the_shortest(
    tmp_path: Path,
) -> None:
    seconds = {"sample": 0.1, "short": 0.2, "middle": 0.3, "long": 5.0}
    earlier = [
        {"experiment": name, "variant": {}, "status": "pass", "seconds": taken}
        for name, taken in seconds.items()
    ]
    (tmp_path / "20200101-000000").mkdir()
    (tmp_path / "20200101-000000/results.json").write_text(json.dumps(earlier))
    (tmp_path / "20200101-000000/manifest.json").write_text('{"started": "2020-01-01"}')
    asked = []

    def behave(kernel: str, request: dict[str, Any]) -> Answer:
        asked.append((kernel, request["experiment"]))
        return answer(request)

    plan = make_plan(KERNELS, [make_experiment(name) for name in reversed(seconds)])
    run(FakeGuests(behave), tmp_path, plan, jobs=1)
    for kernel in KERNELS:
        assert [experiment for name, experiment in asked if name == kernel.name] == list(seconds)


def test_experiments_about_races_get_a_template_with_more_cpus(tmp_path: Path) -> None:
    guests = FakeGuests()
    run(guests, tmp_path, make_plan(KERNELS[:1], [make_experiment("one"), make_experiment("race", cpus=2)]))
    assert sorted(guests.templates) == [("5.10.1", 1), ("5.10.1", 2)]


def test_a_variant_may_say_how_many_cpus_its_guest_has(tmp_path: Path) -> None:
    guests = FakeGuests()
    deferred = make_experiment("deferred", variants={"cpus": ("1", "2")})
    directory, _ = run(guests, tmp_path, make_plan(KERNELS[:1], [deferred]))
    assert sorted(guests.templates) == [("5.10.1", 1), ("5.10.1", 2)]
    assert {key[2] for key in directory.records} == {"cpus=1", "cpus=2"}


@pytest.mark.fault(phase="cell", fault="guest ends", outcome="the cell is run again")
def test_a_lost_guest_is_tried_again(tmp_path: Path) -> None:
    lost: list[str] = []

    def behave(kernel: str, request: dict[str, Any]) -> Answer:
        if request["experiment"] == "other" and kernel == "6.1.2" and len(lost) < ATTEMPTS - 1:
            lost.append(kernel)
            raise LostGuest("gone")
        return answer(request)

    directory, _ = run(FakeGuests(behave), tmp_path)
    record = directory.records["6.1.2", "other", ""]
    assert (record.status, record.attempts) == (Status.PASS, ATTEMPTS)


@pytest.mark.fault(phase="cell", fault="guest ends", outcome="after three attempts the cell ends as `error`")
def test_a_guest_that_is_lost_at_every_attempt_is_an_error(tmp_path: Path) -> None:
    def behave(_kernel: str, request: dict[str, Any]) -> Answer:
        raise LostGuest("no answer within 50 s", "last words")

    directory, _ = run(FakeGuests(behave), tmp_path)
    record = directory.records["5.10.1", "other", ""]
    assert (record.status, record.attempts) == (Status.ERROR, ATTEMPTS)
    assert "no answer within 50 s" in record.reason


@pytest.mark.fault(phase="cell", fault="guest crashes", outcome="twice: the cell ends as `crash`")
def test_a_panic_that_happens_twice_is_a_crash(tmp_path: Path) -> None:
    def behave(_kernel: str, request: dict[str, Any]) -> Answer:
        raise LostGuest("gone", "Kernel panic - not syncing")

    directory, _ = run(FakeGuests(behave), tmp_path)
    record = directory.records["5.10.1", "other", ""]
    assert (record.status, record.attempts, record.reason) == (Status.CRASH, 2, "Kernel panic - not syncing")


@pytest.mark.fault(phase="cell", fault="guest crashes", outcome="once: the cell ends as `unstable`")
def test_a_panic_that_happens_once_makes_the_cell_unstable(tmp_path: Path) -> None:
    crashed: set[tuple[str, str]] = set()

    def behave(kernel: str, request: dict[str, Any]) -> Answer:
        cell = (kernel, str([request["experiment"], request["variant"]]))
        if cell not in crashed:
            crashed.add(cell)
            raise LostGuest("gone", "Kernel panic - not syncing")
        return answer(request)

    directory, _ = run(FakeGuests(behave), tmp_path)
    record = directory.records["5.10.1", "other", ""]
    assert (record.status, record.attempts) == (Status.UNSTABLE, 2)
    assert "Kernel panic - not syncing" in record.reason


@pytest.mark.fault(
    phase="download", fault="download fails", outcome="only the cells of that kernel end as `error`"
)
def test_a_kernel_that_cannot_be_fetched_fails_only_its_own_cells(tmp_path: Path) -> None:
    guests = FakeGuests(fetch_error=lambda kernel: FetchError("404") if kernel == "5.10.1" else None)
    directory, seen = run(guests, tmp_path)
    assert {key[0]: status for key, status in statuses(directory).items()} == {
        "5.10.1": Status.ERROR,
        "6.1.2": Status.PASS,
    }
    assert directory.records["5.10.1", "other", ""].reason == "could not fetch 5.10.1: 404"
    assert ("5.10.1", "failed") in seen.phases


@pytest.mark.fault(
    phase="boot", fault="guest silent", outcome="after a second attempt its cells end as `error`"
)
def test_a_kernel_that_does_not_boot_is_tried_again_and_then_an_error(tmp_path: Path) -> None:
    guests = FakeGuests(
        boot_error=lambda kernel: LostGuest("nothing", "VFS: cannot") if kernel == "5.10.1" else None
    )
    directory, _ = run(guests, tmp_path)
    assert guests.templates.count(("5.10.1", 1)) == ATTEMPTS
    assert directory.records["5.10.1", "other", ""].status is Status.ERROR
    assert "VFS: cannot" in directory.records["5.10.1", "other", ""].reason


@pytest.mark.fault(phase="workers", fault="worker killed", outcome="the kernel is fetched again")
def test_a_kernel_is_fetched_again_if_the_worker_that_fetched_it_is_gone(tmp_path: Path) -> None:
    gone: list[str] = []

    def worker_gone(kernel: str) -> LostGuest | None:
        gone.append(kernel)
        return LostGuest("the worker is gone") if len(gone) == 1 else None

    directory, _ = run(FakeGuests(fetch_error=worker_gone), tmp_path)
    assert {record.status for record in directory.records.values()} == {Status.PASS}
    directory, _ = run(FakeGuests(fetch_error=lambda _: LostGuest("all are gone")), tmp_path / "never")
    assert {record.status for record in directory.records.values()} == {Status.ERROR}


@pytest.mark.parametrize("known", ["fetch_error", "boot_error"])
def test_a_kernel_that_lacks_what_a_boot_needs_is_not_tried_again(tmp_path: Path, known: str) -> None:
    tried = []

    def lacking(kernel: str) -> Exception | None:
        tried.append(kernel)
        said = "5.10.1 cannot boot a guest; its configuration lacks\n    CONFIG_VIRTIO_BLK, for the disks"
        return Unbootable(said) if kernel == "5.10.1" else None

    guests = FakeGuests()
    setattr(guests, known, lacking)
    directory, seen = run(guests, tmp_path)
    assert tried.count("5.10.1") == 1
    assert {key[0]: status for key, status in statuses(directory).items()} == {
        "5.10.1": Status.ERROR,
        "6.1.2": Status.PASS,
    }
    record = directory.records["5.10.1", "other", ""]
    assert (
        record.reason
        == "5.10.1 cannot boot a guest; its configuration lacks\n    CONFIG_VIRTIO_BLK, for the disks"
    )
    assert record.attempts == 0
    assert ("5.10.1", "failed") in seen.phases


@pytest.mark.fault(
    phase="cell", fault="bug in the tool", outcome="the cell ends as `error` with the traceback"
)
def test_a_bug_in_this_project_is_an_error_with_its_traceback(tmp_path: Path) -> None:
    guests = FakeGuests(boot_error=lambda _kernel: ZeroDivisionError("oh"))
    directory, _ = run(guests, tmp_path)
    assert "Traceback" in directory.records["5.10.1", "other", ""].reason


@pytest.mark.fault(phase="boot", fault="too many open files", outcome="the kernel's cells are errors")
def test_a_kernel_that_cannot_be_booted_for_want_of_descriptors_is_an_error_and_only_that_one(
    tmp_path: Path,
) -> None:
    broken = OSError(errno.EMFILE, os.strerror(errno.EMFILE))
    guests = FakeGuests(boot_error=lambda kernel: broken if kernel == "6.1.2" else None)
    directory, _ = run(guests, tmp_path)
    assert directory.records["6.1.2", "other", ""].reason == "could not boot 6.1.2: Too many open files"
    assert directory.records["5.10.1", "other", ""].status is Status.PASS


@pytest.mark.fault(phase="cell", fault="disk full", outcome="that cell is an error, run again")
@pytest.mark.fault(phase="cell", fault="too many open files", outcome="that cell is an error, run again")
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EMFILE])
def test_a_guest_that_this_host_cannot_start_is_an_error_and_its_cell_is_run_again(
    tmp_path: Path, number: int
) -> None:
    def behave(kernel: str, request: dict[str, Any]) -> Answer:
        if (kernel, request["experiment"]) == ("6.1.2", "other"):
            raise OSError(number, os.strerror(number))
        return answer(request)

    directory, _ = run(FakeGuests(behave), tmp_path)
    record = directory.records["6.1.2", "other", ""]
    assert (record.status, record.reason) == (Status.ERROR, os.strerror(number))
    assert record.attempts == ATTEMPTS
    assert Counter(statuses(directory).values()) == {Status.PASS: len(PLAN.cells) - 1, Status.ERROR: 1}


@pytest.mark.fault(
    phase="cell", fault="tool interrupted", outcome="finished cells are kept; the next run asks the others"
)
def test_an_interrupted_run_stops_and_the_next_one_continues_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped = threading.Event()
    monkeypatch.setattr("matrix.run.executor.interrupt", stopped.set)

    def behave(kernel: str, request: dict[str, Any]) -> Answer:
        if kernel == "6.1.2":
            assert stopped.wait(60)
            raise LostGuest("killed")
        return answer(request)

    class Interrupting(Seen):
        def tick(self) -> None:
            if len(self.records) == 3:
                raise KeyboardInterrupt

    directory, started = open_for(PLAN, tmp_path), time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        execute(PLAN, FakeGuests(behave), directory, 4, Interrupting())
    assert time.monotonic() - started < 50
    directory.close(finished=False)
    assert len(json.loads((directory.path / "results.json").read_bytes())) == 3

    guests = FakeGuests()
    again, seen = run(guests, tmp_path)
    assert again.path == directory.path
    assert len(seen.records) == 3
    assert {name for name, _ in guests.templates} == {"6.1.2"}
    assert statuses(again) == {cell.key: Status.PASS for cell in PLAN.cells}


def test_every_request_carries_the_time_and_fresh_entropy(tmp_path: Path) -> None:
    requests = []

    def behave(_kernel: str, request: dict[str, Any]) -> Answer:
        requests.append(request)
        return answer(request)

    run(FakeGuests(behave), tmp_path)
    assert len({request["entropy"] for request in requests}) == len(requests)
    assert all(len(bytes.fromhex(request["entropy"])) >= 32 for request in requests)
    assert all(abs(request["time"] - time.time()) < 60 for request in requests)
    assert {request["do"] for request in requests} == {"run"}
