"""Opens a history database: a SQLite file, or a PostgreSQL by its URL."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, Engine, create_engine, event, func, insert, inspect, select
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError
from sqlalchemy.pool import ConnectionPoolEntry

from matrix.history.models import SCHEMA, About, Base
from vms.deadline import Deadline
from vms.errors import HostError, UsageError

_SECONDS_TO_CONNECT = 10
_SECONDS_TO_WAIT = 60
"""How long one writer waits for another. Recording a run of 4,000 cells takes a second."""
_TICK = 0.01
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
def open_database(url: URL, *, recreate: bool = False) -> Iterator[Engine]:
    """Opens the database, and creates its tables if there are none.

    `recreate` empties it first if the file is damaged or its tables are of another version; the run
    directories hold everything. Raises HostError if the database cannot be reached, is of another
    version and `recreate` is not set, or refuses anything inside the `with`.
    """
    shown = url.render_as_string(hide_password=True)
    try:
        engine = _engine(url)
        try:
            with _opening(url):
                if recreate:
                    _remove(url)
                _make_tables(engine, shown, recreate=recreate)
            yield engine
        finally:
            engine.dispose()
    except (SQLAlchemyError, NoSuchModuleError) as error:
        cause = getattr(error, "orig", None) or error
        raise HostError(f"history database {shown}: {str(cause).strip() or type(cause).__name__}") from error


def _engine(url: URL) -> Engine:
    if url.get_backend_name() == "postgresql":
        return create_engine(url, connect_args={"connect_timeout": _SECONDS_TO_CONNECT})
    engine = create_engine(url, connect_args={"timeout": _SECONDS_TO_WAIT})
    event.listen(engine, "connect", _prepare_sqlite)
    return engine


@contextmanager
def _opening(url: URL) -> Iterator[None]:
    """Keeps other processes from opening the same SQLite file during the `with`.

    Of several connections that switch a new file to WAL at once, SQLite refuses all but one with
    "database is locked", however long their busy timeout is.
    """
    if url.get_backend_name() != "sqlite" or not url.database:
        yield
        return
    directory = Path(url.database).parent
    deadline = Deadline(_SECONDS_TO_WAIT, f"opening {url.database}")
    with _writable(url):
        directory.mkdir(parents=True, exist_ok=True)
        lock = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        while not _locked(lock):
            if deadline.expired:
                raise HostError(
                    f"history database {url.database}: another process has been opening it for"
                    f" {_SECONDS_TO_WAIT} s; end that process and try again"
                )
            time.sleep(_TICK)
        yield
    finally:
        os.close(lock)


def _locked(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


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


def _prepare_sqlite(connection: object, _: ConnectionPoolEntry) -> None:
    # Readers and a writer at once; foreign keys are off in SQLite unless asked for.
    for pragma in ("journal_mode=wal", "synchronous=normal", "foreign_keys=on"):
        connection.execute(f"PRAGMA {pragma}")  # type: ignore[attr-defined]


def _make_tables(engine: Engine, shown: str, *, recreate: bool) -> None:
    with engine.connect() as connection:
        found = _version(connection)
    if found == SCHEMA:
        return
    if found is not None and not recreate:
        raise HostError(
            f"history database {shown} holds version {found} of its tables, but this version of"
            f" conntrack-matrix reads {SCHEMA}; run `./invoke history --rebuild` to re-create it from the run"
            " directories"
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
            connection.execute(select(func.pg_advisory_xact_lock(_WRITER)))
        else:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        yield connection
