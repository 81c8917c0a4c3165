"""The page of a run that is still running, and how far the run is said to be."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from matrix.analysis.analysis import Analysis, analyse
from matrix.plan.plan import Cell, make_plan
from matrix.report.live import Estimate, Found, LiveReport
from matrix.results.directory import RunDirectory
from matrix.results.judge import Judged
from matrix.results.manifest import Manifest
from matrix.results.record import Record, Status
from tests.support.fakes import Seen, make_experiment, make_kernel
from tests.support.runs import open_for
from tests.support.sample import EMPTY
from vms.errors import HostError

EXPERIMENTS = [make_experiment("baseline", variants={"scope": ("user", "root")}), make_experiment("other")]
PLAN = make_plan([make_kernel("5.10.1"), make_kernel("6.1.2")], EXPERIMENTS)
CATALOGUE = {experiment.name: experiment for experiment in EXPERIMENTS}


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def analysed(manifest: Manifest, records: Sequence[Record]) -> Analysis:
    return analyse(manifest, records, CATALOGUE, EMPTY)


def record(cell: Cell, flows: int = 10) -> Record:
    return Record(cell.kernel.name, cell.experiment.name, dict(cell.variant), Status.PASS, {"flows": flows})


def keep(run: RunDirectory, live: LiveReport, cell: Cell, flows: int = 10) -> None:
    live.finished(run.keep(Judged(record(cell, flows), {}), ""))


def tick_until_written(live: LiveReport, clock: Clock, page: Path, text: str) -> None:
    deadline = time.monotonic() + 60
    while not (page.exists() and text in page.read_text()):
        assert time.monotonic() < deadline
        clock.now += 1
        live.tick()
        time.sleep(0.005)


def test_a_page_is_there_while_the_run_runs_and_says_that_it_is_partial(tmp_path: Path) -> None:
    clock, run, seen = Clock(), open_for(PLAN, tmp_path), Seen()
    page = run.report / "index.html"
    with LiveReport(seen, run, PLAN.cells, lambda _cell: 1.0, analysed, clock) as live:
        keep(run, live, PLAN.cells[0])
        live.tick()
        assert not page.exists()
        clock.now += 60
        tick_until_written(live, clock, page, "not finished: 1 cell so far")
        keep(run, live, PLAN.cells[1])
        tick_until_written(live, clock, page, "not finished: 2 cells so far")
    assert seen.overviews[-1].done == 2
    assert seen.overviews[-1].cells == 6


def test_a_page_is_not_written_again_without_a_new_cell(tmp_path: Path) -> None:
    clock, run = Clock(), open_for(PLAN, tmp_path)
    with LiveReport(Seen(), run, PLAN.cells, lambda _cell: 1.0, analysed, clock) as live:
        for _ in range(100):
            clock.now += 1
            live.tick()
        assert not run.report.exists()


def test_a_page_that_took_long_is_written_again_later(tmp_path: Path) -> None:
    clock, run, written = Clock(), open_for(PLAN, tmp_path), []

    def slow(manifest: Manifest, records: Sequence[Record]) -> Analysis:
        written.append(clock.now)
        began = time.thread_time()
        while time.thread_time() - began < 0.5:
            pass
        return analysed(manifest, records)

    with LiveReport(Seen(), run, PLAN.cells, lambda _cell: 1.0, slow, clock) as live:
        keep(run, live, PLAN.cells[0])
        clock.now += 11
        tick_until_written(live, clock, run.report / "index.html", "1 cell so far")
        live._writer.submit(int).result()  # the writer is done with the page
        live.tick()
        keep(run, live, PLAN.cells[1])
        clock.now += 20
        live.tick()
        live._writer.submit(int).result()  # it would be writing now
        assert len(written) == 1
        clock.now += 30
        tick_until_written(live, clock, run.report / "index.html", "2 cells so far")


def test_ctrl_c_leaves_a_page_with_every_cell_that_is_done(tmp_path: Path) -> None:
    run = open_for(PLAN, tmp_path)

    def interrupted() -> None:
        with LiveReport(Seen(), run, PLAN.cells, lambda _cell: 1.0, analysed) as live:
            for cell in PLAN.cells[:3]:
                keep(run, live, cell)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert "not finished: 3 cells so far" in (run.report / "index.html").read_text()


@pytest.mark.fault(phase="results", fault="disk full", outcome="noted once; the run continues")
def test_a_page_that_cannot_be_written_does_not_end_the_run(tmp_path: Path) -> None:
    clock, run, seen = Clock(), open_for(PLAN, tmp_path), Seen()

    def full(_manifest: Manifest, _records: Sequence[Record]) -> Analysis:
        raise HostError("no space left on the disk")

    with LiveReport(seen, run, PLAN.cells, lambda _cell: 1.0, full, clock) as live:
        for cell in PLAN.cells:
            keep(run, live, cell)
            clock.now += 20
            live.tick()
            live._writer.submit(int).result()
            live.tick()
    assert seen.notes == ["the page could not be written: no space left on the disk"]


def test_changes_are_counted_and_each_is_new_once_whichever_variants_have_it(tmp_path: Path) -> None:
    run, found = open_for(PLAN, tmp_path), Found()
    flows = {"5.10.1": 10, "6.1.2": 7}
    cells = [cell for cell in PLAN.cells if cell.experiment.name == "baseline"]
    records = [record(cell, flows[cell.kernel.name]) for cell in cells]
    first = [one for one in records if one.variant == {"scope": "user"}]
    found.add(analysed(run.manifest, first))
    assert (found.changes, found.unexplained) == (1, 1)
    assert found.newest == ("5.10.1 -> 6.1.2: baseline [scope=user]: flows (unexplained)",)
    found.add(analysed(run.manifest, records))
    assert (found.changes, len(found.newest)) == (1, 1)


def test_a_change_is_told_in_words_where_there_are_some(tmp_path: Path) -> None:
    run, found = open_for(PLAN, tmp_path), Found()
    bytes_of = {"5.10.1": 320, "6.1.2": 256}
    records = [Record(name, "slab-size", {}, Status.PASS, {"bytes": n}) for name, n in bytes_of.items()]
    found.add(analysed(run.manifest, records))
    assert found.newest == ("5.10.1 -> 6.1.2: slab-size: 320 bytes -> 256 bytes (unexplained)",)


def test_the_estimate_goes_by_the_speed_of_what_is_done_and_by_measured_lengths(tmp_path: Path) -> None:
    run = open_for(PLAN, tmp_path)
    seconds = {"baseline": 2.0, "other": 4.0}
    estimate = Estimate.of(PLAN.cells, run, lambda cell: seconds[cell.experiment.name])
    assert estimate.left == 16.0
    first, second, *_ = PLAN.cells
    estimate.finished(record(first), 100.0)
    assert estimate.seconds_left(101.0) is None
    estimate.finished(record(second), 103.0)
    assert estimate.seconds_left(103.0) == 12.0 * 3.0 / 2.0


def test_cells_that_wait_or_are_done_are_no_work_and_unmeasured_ones_are_usual(tmp_path: Path) -> None:
    plan = make_plan(
        [make_kernel("6.1.2")],
        [make_experiment("a"), make_experiment("new"), make_experiment("w", waits=True)],
    )
    run = open_for(plan, tmp_path)
    estimate = Estimate.of(plan.cells, run, lambda cell: {"a": 3.0}.get(cell.experiment.name))
    assert estimate.left == 6.0
    run.keep(Judged(record(plan.cells[0]), {}), "")
    assert Estimate.of(plan.cells, run, lambda _cell: None).left == 1.0
