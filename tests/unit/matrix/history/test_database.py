"""Databases of history: opened at once, damaged, of another version, rebuilt."""

from __future__ import annotations

import fcntl
import multiprocessing
import os
import re
import sqlite3
from dataclasses import replace
from multiprocessing.synchronize import Barrier
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import func, select
from sqlalchemy.engine import URL

from matrix.history.database import database_url, open_database, writing
from matrix.history.keep import keep
from matrix.history.models import Entry, Outcome, Run, Sheet
from matrix.history.query import fact_names, timeline
from matrix.history.rebuild import rebuild
from matrix.history.record import record
from matrix.results.manifest import Manifest
from matrix.results.record import FactValue, Record
from tests.support.databases import silent_server
from tests.support.history_runs import cell, manifest, opened, shown
from vms.deadline import Deadline
from vms.errors import HostError, UsageError
from vms.files import write_whole

_AT_ONCE = 4  # processes that open one database


_ROUNDS = 20
_PATIENCE = 600.0  # seconds for each process, however busy the machine is


def save(results: Path, run: Manifest, records: list[Record]) -> None:
    write_whole(results / run.run / "manifest.json", msgspec.json.encode(run))
    for number, one in enumerate(records):
        write_whole(results / run.run / "cells" / str(number) / "record.json", msgspec.json.encode(one))


@pytest.mark.fault(phase="history", fault="record damaged", outcome="a rebuild leaves it out and names it")
def values(url: URL) -> list[FactValue | None]:
    """The values of `flows` through time, on the only kernel."""
    with opened(url) as engine:
        (line,) = timeline(engine, "flows")
        return [span.value for span in line.spans]


def test_rebuild_records_the_directories_and_names_those_it_cannot_read(url: URL, tmp_path: Path) -> None:
    results = tmp_path / "results"
    save(results, manifest(1, "6.1.5"), [cell("6.1.5", flows=7)])
    save(results, manifest(2, "6.1.5"), [cell("6.1.5", flows=8)])
    write_whole(results / "broken" / "manifest.json", b"{")
    (results / "latest").symlink_to("night-02")
    with opened(url) as engine:
        record(engine, "elsewhere", manifest(3, "6.1.5"), [cell("6.1.5", flows=9)])
    done = rebuild(url, results)
    assert (done.runs, len(done.left_out)) == (2, 1)
    assert "broken" in done.left_out[0]
    rebuild(url, results)
    with opened(url) as engine:
        assert [spans for _, _, spans in shown(timeline(engine, "flows"))] == [
            [("pass", 7, 1, 1, 1), ("pass", 8, 2, 2, 1), ("pass", 9, 3, 3, 1)]
        ]


def test_rebuild_forgets_runs_whose_directories_are_gone(url: URL, tmp_path: Path) -> None:
    save(tmp_path / "results", manifest(1, "6.1.5"), [cell("6.1.5", flows=7)])
    rebuild(url, tmp_path / "results")
    rebuild(url, tmp_path / "nothing")
    with opened(url) as engine, engine.connect() as connection:
        assert [
            connection.scalar(select(func.count()).select_from(table))
            for table in (Run, Sheet, Entry, Outcome)
        ] == [0, 0, 0, 0]


@pytest.mark.fault(
    phase="history", fault="record damaged", outcome="a rebuild keeps what was recorded of it, and names it"
)
def test_a_rebuild_loses_no_run_that_became_unreadable(url: URL, tmp_path: Path) -> None:
    for day in (1, 2, 3):
        save(tmp_path / "results", manifest(day, "6.1.5"), [cell("6.1.5", flows=day)])
    rebuild(url, tmp_path / "results")
    (tmp_path / "results" / "night-02" / "manifest.json").write_text("{")
    done = rebuild(url, tmp_path / "results")
    assert (done.runs, len(done.left_out)) == (2, 1)
    assert values(url) == [1, 2, 3]


def test_a_rebuild_leaves_out_a_run_that_the_database_cannot_store(url: URL, tmp_path: Path) -> None:
    for day in (1, 2, 3):
        run = manifest(day, "6.1.5")
        run = replace(run, started="0001-01-01T00:00:00+14:00") if day == 2 else run
        save(tmp_path / "results", run, [cell("6.1.5", flows=day)])
    (reason,) = rebuild(url, tmp_path / "results").left_out
    assert "the run night-02 was started at 0001-01-01" in reason
    assert values(url) == [1, 3]


def test_tables_of_another_version_are_refused_until_rebuilt(url: URL) -> None:
    with opened(url) as engine:
        record(engine, "here", manifest(1, "6.1.5"), [cell("6.1.5", flows=7)])
        with engine.begin() as connection:
            connection.exec_driver_sql("UPDATE about SET schema = 999")
    with pytest.raises(HostError, match=r"version 999.*history --rebuild"), opened(url):
        pass
    with opened(url, recreate=True) as engine:
        assert fact_names(engine) == ()


def _write(url: URL, first: int) -> None:
    with opened(url) as engine:
        for day in range(first, first + 10):
            cells = [
                replace(cell(kernel), facts={f"fact{number}": day % 3 for number in range(50)})
                for kernel in ("6.1.5", "6.12.9")
            ]
            record(
                engine,
                f"machine-{first}",
                manifest(day, "6.1.5", "6.12.9"),
                cells if first == 1 else cells[::-1],
            )


@pytest.mark.fault(phase="history", fault="two at once", outcome="both are recorded")
def test_two_machines_record_at_once_into_an_empty_database(url: URL) -> None:
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_write, args=(url, first)) for first in (1, 11)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(_PATIENCE)
    assert [writer.exitcode for writer in writers] == [0, 0]
    with opened(url) as engine:
        assert {sum(span.runs for span in line.spans) for line in timeline(engine, "fact0")} == {20}


def _record_in_rounds(directory: Path, day: int, barrier: Barrier) -> None:
    for attempt in range(_ROUNDS):
        barrier.wait(_PATIENCE)
        with opened(database_url("", directory / str(attempt))) as engine:
            record(engine, "here", manifest(day, "6.1.5"), [cell("6.1.5", flows=day)])


@pytest.mark.fault(phase="history", fault="two at once", outcome="all are recorded")
def test_processes_that_open_an_empty_database_at_once_all_record(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(_AT_ONCE)
    writers = [
        context.Process(target=_record_in_rounds, args=(tmp_path, day, barrier))
        for day in range(1, _AT_ONCE + 1)
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(_PATIENCE)
    assert [writer.exitcode for writer in writers] == [0] * _AT_ONCE
    for attempt in range(_ROUNDS):
        with (
            opened(database_url("", tmp_path / str(attempt))) as engine,
            engine.connect() as connection,
        ):
            assert connection.scalar(select(func.count()).select_from(Run)) == _AT_ONCE


@pytest.mark.fault(phase="history", fault="database locked", outcome="an error within the deadline")
def test_opening_waits_for_another_process_only_so_long(tmp_path: Path) -> None:
    holder = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(holder, fcntl.LOCK_EX)
    url = database_url("", tmp_path)
    with (
        pytest.raises(HostError, match=r"another process has been opening it for 0\.1 s"),
        open_database(url, Deadline(0.1, "the test")),
    ):
        pass
    os.close(holder)
    with opened(url) as engine:
        assert fact_names(engine) == ()


@pytest.mark.fault(phase="history", fault="database damaged", outcome="an error; a rebuild replaces it")
def test_a_damaged_file_is_a_clear_error_and_rebuild_replaces_it(tmp_path: Path) -> None:
    url = database_url("", tmp_path)
    (tmp_path / "history.sqlite").write_bytes(b"not a database" * 1000)
    with pytest.raises(HostError, match=r"history\.sqlite.*not a database"), opened(url):
        pass
    with opened(url, recreate=True) as engine:
        assert fact_names(engine) == ()


@pytest.mark.fault(phase="history", fault="database gone", outcome="an error without the password")
def test_an_unreachable_server_is_a_clear_error_without_the_password(tmp_path: Path) -> None:
    url = database_url(f"postgresql://me:secret@/history?host={tmp_path}", tmp_path)
    with pytest.raises(HostError, match="history database postgresql") as caught, opened(url):
        pass
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("text", ["nonsense", "mysql://host/db", "oracle://x"])
def test_a_url_of_another_kind_is_refused(text: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="write postgresql://"):
        database_url(text, tmp_path)


def test_the_file_is_an_ordinary_sqlite_database(tmp_path: Path) -> None:
    with opened(database_url("", tmp_path)) as engine:
        record(engine, "here", manifest(1, "6.1.5"), [cell("6.1.5", flows=7)])
    with sqlite3.connect(tmp_path / "history.sqlite") as connection:
        assert connection.execute("SELECT name, value FROM fact").fetchall() == [("flows", "7")]
    connection.close()


def test_keep_records_a_run_or_returns_why_not(tmp_path: Path) -> None:
    save(tmp_path, manifest(1, "6.1.5"), [cell("6.1.5", flows=7)])
    assert keep("", tmp_path, tmp_path / "night-01") == ""
    with opened(database_url("", tmp_path)) as engine:
        assert fact_names(engine) == ("table-full.flows",)
    complaint = keep(f"postgresql://me@/history?host={tmp_path}", tmp_path, tmp_path / "night-01")
    assert complaint.startswith("night-01 is not in the history: ")
    assert complaint.endswith("`./invoke history --rebuild` to record it")


@pytest.mark.fault(phase="history", fault="database silent", outcome="an error at the deadline")
def test_a_server_that_says_nothing_ends_at_the_deadline(tmp_path: Path) -> None:
    with silent_server() as server:
        url = database_url(f"postgresql://me@127.0.0.1:{server.port}/history", tmp_path)
        for seconds in (0.5, 10.0, 200.0):  # on a busy machine it may not have come to a question
            with (
                pytest.raises(HostError, match=rf"recording it did not finish within {seconds:g} s"),
                open_database(url, Deadline(seconds, "recording it")),
            ):
                pass
            if server.asked.is_set():
                break
        assert server.asked.is_set()


@pytest.mark.fault(phase="history", fault="database locked", outcome="an error within the deadline")
def test_a_writer_that_holds_the_lock_is_waited_for_only_so_long(
    url: URL, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(tmp_path, manifest(1, "6.1.5"), [cell("6.1.5", flows=7)])
    with opened(url) as engine, writing(engine), monkeypatch.context() as short:
        short.setattr("matrix.history.database._SECONDS_TO_LOCK", 1)
        short.setattr("matrix.history.keep.SECONDS", 3)
        complaint = keep(url.render_as_string(hide_password=False), tmp_path, tmp_path / "night-01")
    assert complaint.startswith("night-01 is not in the history: ")
    assert re.search("lock timeout|locked|did not finish", complaint)
    assert keep(url.render_as_string(hide_password=False), tmp_path, tmp_path / "night-01") == ""
