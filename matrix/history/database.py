"""Opens a history database: a SQLite file, or a PostgreSQL by its URL."""

from __future__ import annotations

import contextlib
import os
import socket
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
from sqlalchemy import Connection, Engine, create_engine, event, func, insert, inspect, select
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import (
    ArgumentError,
    DatabaseError,
    NoSuchModuleError,
    OperationalError,
    SQLAlchemyError,
)
from sqlalchemy.pool import ConnectionPoolEntry

from matrix.history.models import SCHEMA, About, Base
from vms.deadline import Deadline
from vms.errors import HostError, UsageError
from vms.files import alone_in
from vms.program import COMMAND

SECONDS = 60
"""How long opening a database and reading it, or recording a run in it, may take. Recording a run
of 4,000 cells takes a second; the rest is for waiting until other writers are done."""
# A PostgreSQL that waits for a lock or works too long says so itself, before the deadline.
_SECONDS_TO_LOCK = 40
_SECONDS_FOR_A_STATEMENT = 50
# A server whose machine is gone is noticed after 10 + 3 * 5 s.
_CONNECT = {"connect_timeout": 10, "keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3}
_WRITER = 0x636F6E6E  # any number that other users of the database are unlikely to lock


def database_url(text: str, results: Path) -> URL:
    """The URL of the database that a setting names; an empty one is `history.sqlite` in the results
    directory.

    Raises UsageError for a URL that is neither `sqlite:///FILE` nor `postgresql://...`.
    """
    if not text:
        return URL.create("sqlite", database=str(results / "history.sqlite"))
    try:
        url = make_url(text)
    except ArgumentError as error:
        raise UsageError(
            f"history: {text!r} is not a database URL; write postgresql://user@host/name or sqlite:///file"
        ) from error
    if url.drivername in ("postgresql", "postgres"):
        url = url.set(drivername="postgresql+psycopg")
    if url.get_backend_name() not in ("sqlite", "postgresql"):
        raise UsageError(
            f"history: {url.get_backend_name()} is not supported; write postgresql://user@host/name or"
            " sqlite:///file"
        )
    return url


@contextmanager
def open_database(url: URL, deadline: Deadline, *, recreate: bool = False) -> Iterator[Engine]:
    """Opens the database until the end of the `with`, and creates its tables if there are none.

    `recreate` empties it first if the file is damaged or its tables are of another version; the run
    directories hold everything. Raises HostError if the database cannot be reached, is of another
    version and `recreate` is not set, refuses anything inside the `with`, or is not done with it at
    the deadline.
    """
    shown = url.render_as_string(hide_password=True)
    try:
        engine = _engine(url, deadline)
        try:
            with _cut_at(deadline, engine):
                with _opening(url, deadline):
                    if recreate and not _intact(engine):
                        engine.dispose()
                        _remove(url)
                    _make_tables(engine, shown, recreate=recreate)
                yield engine
        finally:
            engine.dispose()
    except (SQLAlchemyError, NoSuchModuleError) as error:
        if deadline.expired:
            raise HostError(
                f"history database {shown}: {deadline.what} did not finish within {deadline.seconds:g} s"
            ) from error
        cause = getattr(error, "orig", None) or error
        raise HostError(f"history database {shown}: {str(cause).strip() or type(cause).__name__}") from error


def _engine(url: URL, deadline: Deadline) -> Engine:
    if url.get_backend_name() == "postgresql":
        return create_engine(url, connect_args=_CONNECT)
    engine = create_engine(url)
    event.listen(engine, "connect", partial(_prepare_sqlite, deadline))
    return engine


@contextmanager
def _cut_at(deadline: Deadline, engine: Engine) -> Iterator[None]:
    """Cuts the connections to a server at the deadline.

    Nothing else ends the wait for a server that is there and says nothing: its timeouts are its own
    to keep, and its machine answers keepalives.
    """
    connections: list[psycopg.Connection[Any]] = []

    def cut() -> None:
        for connection in connections:
            with contextlib.suppress(OSError, psycopg.Error), _socket_of(connection) as wire:
                wire.shutdown(socket.SHUT_RDWR)

    if engine.dialect.name == "postgresql":
        # Before SQLAlchemy's own listeners, which ask the server for its version.
        event.listen(engine, "connect", lambda new, _record: connections.append(new), insert=True)
    timer = threading.Timer(deadline.remaining, cut)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _socket_of(connection: psycopg.Connection[Any]) -> socket.socket:
    return socket.socket(fileno=os.dup(connection.fileno()))


def _intact(engine: Engine) -> bool:
    """Whether a SQLite file can be read as such; a server looks after its own files."""
    if engine.dialect.name != "sqlite":
        return True
    try:
        with engine.connect() as connection:
            return connection.exec_driver_sql("PRAGMA quick_check(1)").scalar() == "ok"
    except OperationalError:  # locked, say: that is for the caller to be told
        raise
    except DatabaseError:
        return False


@contextmanager
def _opening(url: URL, deadline: Deadline) -> Iterator[None]:
    """Keeps other processes from opening the same SQLite file during the `with`.

    Of several connections that switch a new file to WAL at once, SQLite refuses all but one with
    "database is locked", however long their busy timeout is.
    """
    if url.get_backend_name() != "sqlite" or not url.database:
        yield
        return
    directory = Path(url.database).parent
    with _writable(url):
        directory.mkdir(parents=True, exist_ok=True)
    late = (
        f"history database {url.database}: another process has been opening it for"
        f" {deadline.seconds:g} s; end that process and try again"
    )
    with alone_in(directory, deadline, late):
        yield


def _remove(url: URL) -> None:
    """Removes the SQLite file with the files that SQLite keeps beside it."""
    if url.get_backend_name() == "sqlite" and url.database:
        with _writable(url):
            for ending in ("", "-wal", "-shm"):
                Path(url.database + ending).unlink(missing_ok=True)


@contextmanager
def _writable(url: URL) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise HostError(f"history database {url.database}: cannot write there: {error.strerror}") from error


def _prepare_sqlite(deadline: Deadline, connection: sqlite3.Connection, _: ConnectionPoolEntry) -> None:
    # Readers and a writer at once; foreign keys are off in SQLite unless asked for.
    wait = f"busy_timeout={deadline.remaining * 1000:.0f}"
    for pragma in (wait, "journal_mode=wal", "synchronous=normal", "foreign_keys=on"):
        connection.execute(f"PRAGMA {pragma}")


def _make_tables(engine: Engine, shown: str, *, recreate: bool) -> None:
    with engine.connect() as connection:
        found = _version(connection)
    if found == SCHEMA:
        return
    if found is not None and not recreate:
        raise HostError(
            f"history database {shown} holds version {found} of its tables, but this version of"
            f" conntrack-matrix reads {SCHEMA}; run `{COMMAND} history --rebuild` to re-create it from"
            " the run directories"
        )
    with writing(engine) as connection:
        found = _version(connection)  # another process may have created them
        if found == SCHEMA:
            return
        if found is not None:
            Base.metadata.drop_all(connection)
        Base.metadata.create_all(connection)
        connection.execute(insert(About).values(schema=SCHEMA))


def _version(connection: Connection) -> int | None:
    return (
        connection.scalar(select(About.schema))
        if inspect(connection).has_table(About.__tablename__)
        else None
    )


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """A transaction of the only writer: other writers, on any machine, wait until it is done.

    Two writers that insert the same new rows in different order would deadlock.
    """
    with engine.begin() as connection:
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{_SECONDS_TO_LOCK}s'")
            connection.exec_driver_sql(f"SET LOCAL statement_timeout = '{_SECONDS_FOR_A_STATEMENT}s'")
            connection.execute(select(func.pg_advisory_xact_lock(_WRITER)))
        else:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        yield connection
