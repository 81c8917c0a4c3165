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
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.engine import URL


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
        data = directory / "data"
        initdb = [
            *become,
            "--",
            str(binaries / "initdb"),
            "-D",
            str(data),
            "-U",
            "matrix",
            "-A",
            "trust",
            "--no-sync",
            "-E",
            "UTF8",
            "--locale=C",
        ]
        subprocess.run(initdb, check=True, capture_output=True, timeout=120, cwd=directory)
        server = subprocess.Popen(
            [
                *become,
                "--",
                str(binaries / "postgres"),
                "-D",
                str(data),
                "-k",
                str(directory),
                "-c",
                "listen_addresses=",
                "-c",
                "fsync=off",
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=directory,
        )
        try:
            socket = directory / ".s.PGSQL.5432"
            ready = [str(binaries / "pg_isready"), "-q", "-h", str(directory), "-U", "matrix"]
            for _ in range(300):
                assert server.poll() is None, "PostgreSQL ended at once"
                if socket.exists() and subprocess.run(ready, check=False, timeout=10).returncode == 0:
                    break
                time.sleep(0.1)
            else:
                pytest.fail("PostgreSQL did not answer within 30 s")
            yield URL.create(
                "postgresql+psycopg", username="matrix", database="postgres", query={"host": str(directory)}
            )
        finally:
            server.send_signal(signal.SIGINT)  # a fast shutdown: waits for no client
            server.wait(timeout=30)
    finally:
        shutil.rmtree(directory)


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> URL:
    """An empty database of each kind."""
    if request.param == "sqlite":
        return URL.create("sqlite", database=str(tmp_path / "history.sqlite"))
    server: URL = request.getfixturevalue("postgres")
    name = f"t{abs(hash(request.node.nodeid)):x}"
    engine = create_engine(server, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    engine.dispose()
    return server.set(database=name)
