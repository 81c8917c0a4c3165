"""Opens a history database: a SQLite file, or a PostgreSQL by its URL."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, Engine, create_engine, event, func, insert, inspect, select
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError
from sqlalchemy.pool import ConnectionPoolEntry

from matrix.history.models import SCHEMA, About, Base
from vms.errors import HostError, UsageError

_SECONDS_TO_CONNECT = 10
_SECONDS_TO_WAIT = 60
"""How long one writer waits for another. Recording a run of 4,000 cells takes a second."""
_WRITER = 0x636F6E6E  # any number that other users of the database are unlikely to lock


def database_url(text: str, results: Path) -> URL:
    """The database that a setting means: empty is `history.sqlite` in the results directory,
    otherwise a URL.

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
def open_database(url: URL, *, anew: bool = False) -> Iterator[Engine]:
    """The database, its tables made if there are none; `anew` starts over where the file is damaged
    or the tables are those of another version of this program: nothing is lost, since the run
    directories hold everything.

    Raises HostError when it cannot be reached, or is of another version and `anew` is not set;
    whatever the database refuses inside the `with` becomes a HostError too.
    """
    shown = url.render_as_string(hide_password=True)
    try:
        engine = _engine(url, anew=anew)
        try:
            _make_tables(engine, shown, anew=anew)
            yield engine
        finally:
            engine.dispose()
    except (SQLAlchemyError, NoSuchModuleError) as error:
        cause = getattr(error, "orig", None) or error
        raise HostError(f"history database {shown}: {str(cause).strip() or type(cause).__name__}") from error


def _engine(url: URL, *, anew: bool) -> Engine:
    if url.get_backend_name() == "postgresql":
        return create_engine(url, connect_args={"connect_timeout": _SECONDS_TO_CONNECT})
    if url.database:
        file = Path(url.database)
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            for name in (
                (file, *(file.with_name(file.name + ending) for ending in ("-wal", "-shm"))) if anew else ()
            ):
                name.unlink(missing_ok=True)
        except OSError as error:
            raise HostError(
                f"history database {url.database}: cannot write there: {error.strerror}"
            ) from error
    engine = create_engine(url, connect_args={"timeout": _SECONDS_TO_WAIT})
    event.listen(engine, "connect", _prepare_sqlite)
    return engine


def _prepare_sqlite(connection: object, _: ConnectionPoolEntry) -> None:
    # Readers and a writer at once; foreign keys are off in SQLite unless asked for.
    for pragma in ("journal_mode=wal", "synchronous=normal", "foreign_keys=on"):
        connection.execute(f"PRAGMA {pragma}")  # type: ignore[attr-defined]


def _make_tables(engine: Engine, shown: str, *, anew: bool) -> None:
    with engine.connect() as connection:
        found = _version(connection)
    if found == SCHEMA:
        return
    if found is not None and not anew:
        raise HostError(
            f"history database {shown} holds version {found} of its tables, this program reads version"
            f" {SCHEMA}; run `./invoke history --rebuild` to make it anew from the run directories"
        )
    with writing(engine) as connection:
        found = _version(connection)  # another process may have been here meanwhile
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
    """A transaction of the only writer: others, on any machine, wait until it is done.

    Two that insert the same new rows in different order would otherwise deadlock.
    """
    with engine.begin() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(select(func.pg_advisory_xact_lock(_WRITER)))
        else:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        yield connection
