"""On which addresses scheduler and worker listen, who may connect, and what ends them."""

from __future__ import annotations

import json
import signal
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from matrix.dask.executor import connected
from matrix.results.record import Status
from tests.support.dask_runs import MakeImage, run
from tests.support.dask_site import Site
from tests.support.fake_worker import FakeSource
from tests.support.processes import socket_inodes
from vms.errors import HostError

pytestmark = pytest.mark.slow  # real Dask schedulers and workers


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.fault(phase="workers", fault="worker interrupted", outcome="it ends")
def test_a_signal_ends_worker_and_scheduler(site: Site, number: int) -> None:
    worker = site.worker()
    for process in (worker, site.scheduler):
        process.send_signal(number)
        process.wait(300)


def test_certificates_of_the_users_own_dask_configuration_are_used(
    source: FakeSource, image: MakeImage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dask import config

    tls = {
        "ca-file": certificate(tmp_path),
        **{
            who: {"cert": tmp_path / "pem", "key": tmp_path / "key"}
            for who in ("scheduler", "worker", "client")
        },
    }
    settings = {
        "distributed": {"comm": {"require-encryption": True, "tls": json.loads(json.dumps(tls, default=str))}}
    }
    (tmp_path / "dask.yaml").write_text(json.dumps(settings))  # JSON is YAML
    monkeypatch.setenv("DASK_CONFIG", str(tmp_path / "dask.yaml"))
    with ExitStack() as held:
        site = Site(held)
        site.worker()
        with (
            pytest.raises(HostError, match="no Dask scheduler answers"),
            connected(site.address, source, image),  # with the certificate that is made by default
        ):
            pass
        mine = {"ca-file": tls["ca-file"], "client.cert": tmp_path / "pem", "client.key": tmp_path / "key"}
        with (
            config.set({f"distributed.comm.tls.{name}": str(path) for name, path in mine.items()}),
            connected(site.address, source, image) as workers,
        ):
            found = run(workers, tmp_path / "far")
    assert {record.status for record in found.records.values()} == {Status.PASS}


def certificate(directory: Path) -> Path:
    """Makes a self-signed certificate, which is its own authority, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "matrix")])
    now = datetime.now(UTC)
    made = x509.CertificateBuilder(
        name, name, key.public_key(), 1, now - timedelta(days=1), now + timedelta(days=1)
    ).sign(key, hashes.SHA256())
    (directory / "pem").write_bytes(made.public_bytes(Encoding.PEM))
    (directory / "key").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return directory / "pem"


def test_scheduler_and_worker_listen_on_the_given_address_only(site: Site) -> None:
    listening = [address for process in (site.scheduler, site.worker()) for address in listens(process.pid)]
    assert len(listening) == 2
    assert {address.partition(":")[0] for address in listening} == {"0100007F"}


def listens(pid: int) -> list[str]:
    """The addresses on which a process accepts TCP connections, as /proc/net/tcp writes them."""
    inodes = socket_inodes(pid)
    rows = [
        line.split()
        for table in ("tcp", "tcp6")
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]
    ]
    return [row[1] for row in rows if row[3] == "0A" and row[9] in inodes]
