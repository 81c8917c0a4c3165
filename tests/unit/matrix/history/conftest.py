"""A PostgreSQL of the test's own, and synthesised runs."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.engine import URL

# Seconds for each step, however busy the machine is.
PATIENCE = 300


@pytest.fixture(scope="session")
def postgres() -> Iterator[URL]:
    """The URL of a real PostgreSQL (Debian's package), reachable over a unix socket in a private
    directory only.
    """
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    assert programs, "Debian's package postgresql is missing; `./invoke test` installs it"
    binaries = programs[-1].parent
    # PostgreSQL refuses to run as root, so root hands it to nobody; an ordinary user keeps it.
    become = ["setpriv", "--pdeathsig", "KILL"]
    directory = Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))
    try:
        if os.geteuid() == 0:
            nobody = pwd.getpwnam("nobody")
            become += [f"--reuid={nobody.pw_uid}", f"--regid={nobody.pw_gid}", "--clear-groups"]
            os.chown(directory, nobody.pw_uid, nobody.pw_gid)
        with serving(binaries, [*become, "--"], directory):
            yield URL.create(
                "postgresql+psycopg", username="matrix", database="postgres", query={"host": str(directory)}
            )
    finally:
        shutil.rmtree(directory)


@contextmanager
def serving(binaries: Path, become: list[str], directory: Path) -> Iterator[None]:
    """Runs PostgreSQL with its data and its socket in `directory`."""
    data, log = directory / "data", directory / "log"
    initdb = [*become, str(binaries / "initdb"), "-D", str(data), "-U", "matrix", "-A", "trust"]
    initdb += ["--no-sync", "-E", "UTF8", "--locale=C"]
    postgres = [*become, str(binaries / "postgres"), "-D", str(data), "-k", str(directory)]
    for setting in ("listen_addresses=", "fsync=off", "autovacuum=off"):
        postgres += ["-c", setting]
    with log.open("wb") as output:
        made = subprocess.run(
            initdb, check=False, stdout=output, stderr=output, timeout=PATIENCE, cwd=directory
        )
        assert made.returncode == 0, log.read_text()
        server = subprocess.Popen(postgres, stdout=output, stderr=output, cwd=directory)
    try:
        ready = [str(binaries / "pg_isready"), "-q", "-h", str(directory), "-U", "matrix"]
        until = time.monotonic() + PATIENCE
        while subprocess.run(ready, check=False).returncode != 0:
            assert server.poll() is None, f"PostgreSQL ended:\n{log.read_text()}"
            assert time.monotonic() < until, f"PostgreSQL is not ready:\n{log.read_text()}"
            time.sleep(0.1)
        yield
    finally:
        # An immediate shutdown: it waits for no client, and writes nothing of what is deleted now.
        server.send_signal(signal.SIGQUIT)
        server.wait(timeout=PATIENCE)


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> URL:
    """An empty database of each kind."""
    if request.param == "sqlite":
        return URL.create("sqlite", database=str(tmp_path / "history.sqlite"))
    server: URL = request.getfixturevalue("postgres")
    name = f"t{abs(hash(request.node.nodeid)):x}"
    engine = create_engine(server, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name} TEMPLATE template0"))
    engine.dispose()
    return server.set(database=name)
