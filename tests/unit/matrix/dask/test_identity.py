from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from distributed import Client, Security
from distributed.core import connect

from matrix.dask.identity import check_address, identity, identity_path, security
from tests.support.dask_site import Site
from vms.errors import HostError, UsageError

TLS_ALERT = b"\x15"


@pytest.fixture(autouse=True)
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return tmp_path / "config"


def test_the_certificate_is_made_once_where_only_the_user_can_read_it(config: Path) -> None:
    made = identity()
    assert made == config / "conntrack-matrix" / "tls" / "dask.pem"
    assert made.stat().st_mode & 0o777 == 0o600
    assert made.parent.stat().st_mode & 0o777 == 0o700
    content = made.read_bytes()
    assert identity().read_bytes() == content
    assert list(made.parent.iterdir()) == [made]


def test_without_xdg_config_home_the_certificate_is_under_the_users_config(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("XDG_CONFIG_HOME")
    monkeypatch.setenv("HOME", "/somewhere")
    assert identity_path() == Path("/somewhere/.config/conntrack-matrix/tls/dask.pem")


@pytest.mark.fault(phase="workers", fault="two at once", outcome="they get the same certificate")
def test_processes_that_start_at_once_get_the_same_certificate() -> None:
    program = "from matrix.dask.identity import identity; print(identity().read_text())"
    started = [
        subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) for _ in range(4)
    ]
    assert len({process.communicate()[0] for process in started}) == 1


@pytest.mark.parametrize(("part", "mode"), [("file", 0o640), ("directory", 0o755)])
def test_a_certificate_that_others_could_reach_is_refused(part: str, mode: int) -> None:
    path = identity() if part == "file" else identity().parent
    path.chmod(mode)
    with pytest.raises(HostError, match=f"{path} must belong to you and be closed to others"):
        identity()


def test_a_certificate_of_another_user_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    identity()
    monkeypatch.setattr(os, "getuid", lambda: 12345)
    with pytest.raises(HostError, match="must belong to you"):
        identity()


def test_an_address_without_authentication_needs_the_flag_that_says_so() -> None:
    check_address("tls://10.0.0.1:8786", authenticated=True)
    check_address("tcp://10.0.0.1:8786", authenticated=False)
    with pytest.raises(UsageError, match=r"can run programs as you.*--without-authentication"):
        check_address("tcp://10.0.0.1:8786", authenticated=True)
    with pytest.raises(UsageError, match="leave out --without-authentication"):
        check_address("tls://10.0.0.1:8786", authenticated=False)


@pytest.fixture
def site() -> Iterator[tuple[Site, str]]:
    """A scheduler and the address of its one worker."""
    with ExitStack() as held:
        site = Site(held)
        site.worker()
        with Client(site.address, security=security(authenticated=True), set_as_default=False) as client:
            (worker,) = client.scheduler_info()["workers"]
            assert client.submit(os.getpid, pure=False).result() != os.getpid()
        yield site, worker


def stranger(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Security:
    """Another user, with a certificate made in the same way."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "another"))
    return security(authenticated=True)


@pytest.mark.slow
@pytest.mark.parametrize("who", ["without TLS", "without a certificate", "with another certificate"])
def test_strangers_get_no_word_in_on_loopback(
    site: tuple[Site, str], who: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pem = identity()
    strange = stranger(monkeypatch, tmp_path)
    for address in (site[0].address, site[1]):
        if who == "without TLS":
            address, theirs = address.replace("tls://", "tcp://"), Security(require_encryption=False)
            context = None
        elif who == "without a certificate":
            theirs = Security(require_encryption=True, tls_ca_file=str(pem))
            context = ssl.create_default_context(cafile=pem)
            context.check_hostname = False
        else:
            theirs, context = strange, strange.get_connection_args("client")["ssl_context"]
            context.verify_mode = ssl.CERT_NONE
        with pytest.raises((OSError, TypeError, RuntimeError)):
            asyncio.run(call_identity(address, theirs, 3))
        assert answer_to(address, context)[:1] in (b"", TLS_ALERT)
    with Client(site[0].address, security=own(pem), set_as_default=False) as client:
        assert client.submit(os.getpid, pure=False).result() != os.getpid()


@pytest.mark.slow
def test_without_authentication_strangers_do_get_a_word_in() -> None:
    """The flag does what its name says, and the tests above would notice an answer."""
    with ExitStack() as held:
        site = Site(held, "tcp")
        assert answer_to(site.address, None)[:1] not in (b"", TLS_ALERT)
        assert asyncio.run(call_identity(site.address, Security(require_encryption=False), 60))


def own(pem: Path) -> Security:
    return Security(
        require_encryption=True, tls_ca_file=str(pem), tls_client_cert=str(pem), tls_client_key=str(pem)
    )


async def call_identity(address: str, theirs: Security, seconds: float) -> object:
    """Asks a scheduler or worker who it is, as Dask's own clients begin: for so long at most."""
    comm = await connect(address, timeout=seconds, **theirs.get_connection_args("client"))
    try:
        await comm.write({"op": "identity", "reply": True})
        return await asyncio.wait_for(comm.read(), seconds)
    finally:
        comm.abort()


def answer_to(address: str, context: ssl.SSLContext | None) -> bytes:
    """What comes back for a word of Dask's protocol on a connection of our own making."""
    host, port = address.partition("://")[2].split(":")
    with (
        contextlib.suppress(ssl.SSLError, ConnectionError),
        socket.create_connection((host, int(port)), timeout=60) as connection,
        context.wrap_socket(connection) if context else connection as spoken,
    ):
        spoken.sendall(b"\x10" + bytes(63))
        return spoken.recv(4096)
    return b""
