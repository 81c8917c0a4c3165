from __future__ import annotations

import hashlib
import json
import re
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from matrix.dask.executor import Workers, connected
from matrix.plan.plan import make_plan
from matrix.results.directory import RunDirectory
from matrix.results.record import Status
from matrix.run.progress import Display
from matrix.run.runner import execute
from tests.support.dask_site import Site
from tests.support.fake_worker import FakeSource
from tests.support.fakes import FakeGuests, Seen, make_experiment, make_kernel
from tests.support.runs import open_for
from vms.errors import HostError
from vms.image import Image, image_at

pytestmark = pytest.mark.slow  # real Dask schedulers and workers

PLAN = make_plan(
    [make_kernel("5.10.1"), make_kernel("6.1.2")],
    [
        make_experiment("baseline", variants={"frontend": ("legacy", "nft")}),
        *(make_experiment(f"e{number}") for number in range(8)),
    ],
)
NAMES = [
    f"{cell.kernel.name} {cell.experiment.name} {','.join(cell.variant.values())}" for cell in PLAN.cells
]


@pytest.fixture(autouse=True)
def image_here(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty cache and configuration for every machine, and an image to send."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.mktemp("config")))
    built = tmp_path_factory.mktemp("image")
    (built / "root.squashfs").write_bytes(b"userland")
    (built / "busybox").write_bytes(b"busybox")
    (built / "image.json").write_text(
        json.dumps({"sha256": hashlib.sha256(b"userland").hexdigest(), "packages": {}})
    )
    monkeypatch.setattr("tests.unit.matrix.dask.test_executor._built", built)


_built = Path()


def image() -> Image:
    """The image of the machine that starts the run."""
    return image_at(_built)


@pytest.fixture
def site() -> Iterator[Site]:
    with ExitStack() as held:
        yield Site(held)


@pytest.fixture
def source(tmp_path: Path) -> FakeSource:
    (tmp_path / "asked").mkdir()
    return FakeSource(tmp_path / "asked")


def run(workers: Workers, results: Path, display: Display | None = None) -> RunDirectory:
    workers.prepare(PLAN.kernels)
    directory = open_for(PLAN, results)
    execute(PLAN, workers, directory, 1, display or Seen())
    directory.close(finished=True)
    return directory


def test_workers_give_the_same_results_as_this_machine(
    site: Site, source: FakeSource, tmp_path: Path
) -> None:
    site.worker()
    site.worker()
    with connected(site.address, source, image) as workers:
        assert workers.slots == 2
        found = run(workers, tmp_path / "far")
    asked = source.asked()
    local = open_for(PLAN, tmp_path / "near")
    execute(PLAN, FakeGuests(source.behave), local, 1, Seen())
    local.close(finished=True)

    def facts(directory: RunDirectory) -> dict[object, object]:
        return {
            key: (record.status, record.facts, record.evidence, record.attempts)
            for key, record in directory.records.items()
        }

    assert facts(found) == facts(local)
    assert (found.path / "cells/6.1.2/e3/name.txt").read_text() == "6.1.2 e3 "
    assert len(asked) == 2
    assert sum(asked.values(), Counter()) == Counter(NAMES)


def test_only_unfinished_cells_of_a_worker_that_dies_run_again(
    site: Site, source: FakeSource, tmp_path: Path
) -> None:
    doomed = site.worker()
    other = site.worker()
    killed = threading.Event()

    class Killing(Seen):
        def tick(self) -> None:
            if source.asked().get(doomed.pid, Counter()).total() >= 3 and not killed.is_set():
                doomed.kill()
                killed.set()

    seen = Killing()
    with connected(site.address, FakeSource(source.directory, seconds=0.3), image) as workers:
        found = run(workers, tmp_path / "far", seen)
    assert killed.is_set()
    assert {record.status for record in found.records.values()} == {Status.PASS}
    assert len(seen.records) == len(PLAN.cells)
    asked = sum(source.asked().values(), Counter())
    assert set(asked) == set(NAMES)
    # The worker was running one cell, and may have had a few answers that were not sent yet.
    assert asked.total() - len(NAMES) <= 3
    assert source.asked()[other.pid].total() > len(NAMES) / 2


def test_a_worker_that_joins_later_runs_cells_too(site: Site, source: FakeSource, tmp_path: Path) -> None:
    site.worker()

    class Joining(Seen):
        late: subprocess.Popen[str] | None = None

        def tick(self) -> None:
            self.late = self.late or site.worker()

    seen = Joining()
    with connected(site.address, FakeSource(source.directory, seconds=0.5), image) as workers:
        run(workers, tmp_path / "far", seen)
    assert seen.late
    assert source.asked()[seen.late.pid].total() >= 2


def test_a_worker_with_other_experiments_is_refused(site: Site, source: FakeSource) -> None:
    site.worker()
    site.worker(FAKE_AGENT="99" * 32)
    with (
        connected(site.address, source, image) as workers,
        pytest.raises(HostError, match=r"the worker tls://127.0.0.1:\d+ has other experiments"),
    ):
        workers.prepare(PLAN.kernels)


def test_new_workers_continue_when_all_workers_have_died(
    site: Site, source: FakeSource, tmp_path: Path
) -> None:
    first = site.worker()

    class Replacing(Seen):
        def tick(self) -> None:
            if self.records and first.poll() is None:
                first.kill()
                first.wait()
                site.worker()

    with connected(site.address, FakeSource(source.directory, seconds=0.3), image) as workers:
        found = run(workers, tmp_path / "far", Replacing())
    assert {record.status for record in found.records.values()} == {Status.PASS}
    assert len(source.asked()) == 2


def test_a_worker_with_other_experiments_that_joins_later_gives_no_answer(
    site: Site, source: FakeSource, tmp_path: Path
) -> None:
    first = site.worker()
    with connected(site.address, source, image) as workers:
        workers.prepare(PLAN.kernels)
        site.worker(FAKE_AGENT="99" * 32)
        first.kill()
        first.wait()
        directory = open_for(PLAN, tmp_path)
        execute(PLAN, workers, directory, 1, Seen())
        directory.close(finished=True)
    assert {record.status for record in directory.records.values()} == {Status.ERROR}
    assert all("has other experiments" in record.reason for record in directory.records.values())
    assert source.asked() == {}


def test_a_scheduler_that_does_not_answer_is_an_error_with_what_to_start(
    source: FakeSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("matrix.dask.executor.ANSWER_SECONDS", 1)
    with (
        pytest.raises(HostError, match=r"no Dask scheduler answers at tls://127.0.0.1:1: .*invoke scheduler"),
        connected("tls://127.0.0.1:1", source, image),
    ):
        pass


def test_a_run_without_workers_ends_after_a_minute_with_what_to_start(
    site: Site, source: FakeSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("matrix.dask.executor.ALONE_SECONDS", 1)
    with (
        connected(site.address, source, image) as workers,
        pytest.raises(HostError, match=f"no worker with guest slots for 1 s.*{site.address}"),
    ):
        workers.prepare(PLAN.kernels)


def test_a_run_whose_scheduler_dies_ends_and_keeps_finished_cells(
    site: Site, source: FakeSource, tmp_path: Path
) -> None:
    site.worker()

    class Killing(Seen):
        def tick(self) -> None:
            if self.records:
                site.scheduler.kill()

    seen = Killing()
    with (
        connected(site.address, FakeSource(source.directory, seconds=0.3), image) as workers,
        pytest.raises(HostError, match="is gone"),
    ):
        run(workers, tmp_path / "far", seen)
    assert 0 < len(seen.records) < len(PLAN.cells)
    assert {record.status for record in seen.records} == {Status.PASS}


def test_workers_of_an_interrupted_run_serve_the_next_one(
    site: Site, source: FakeSource, tmp_path: Path
) -> None:
    site.worker()

    class Interrupting(Seen):
        def tick(self) -> None:
            if self.records:
                self.asked = time.monotonic()
                raise KeyboardInterrupt

    seen = Interrupting()
    with (
        pytest.raises(KeyboardInterrupt),
        connected(site.address, FakeSource(source.directory, seconds=0.5), image) as workers,
    ):
        run(workers, tmp_path / "far", seen)
    assert time.monotonic() - seen.asked < 3
    time.sleep(1.5)
    asked = sum(source.asked().values(), Counter()).total()
    time.sleep(1.5)
    assert sum(source.asked().values(), Counter()).total() == asked < len(NAMES)
    with connected(site.address, source, image) as workers:
        found = run(workers, tmp_path / "again")
    assert {record.status for record in found.records.values()} == {Status.PASS}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_worker_and_scheduler(site: Site, number: int) -> None:
    worker = site.worker()
    for process in (worker, site.scheduler):
        process.send_signal(number)
        began = time.monotonic()
        process.wait(10)
        assert time.monotonic() - began < 4


def test_a_worker_ends_when_its_scheduler_dies(site: Site) -> None:
    worker = site.worker()
    site.scheduler.kill()
    assert worker.wait(20) == 0


def test_certificates_of_the_users_own_dask_configuration_are_used(
    source: FakeSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
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
    links = [str(path.readlink()) for path in Path(f"/proc/{pid}/fd").iterdir() if path.is_symlink()]
    inodes = {match[1] for link in links if (match := re.fullmatch(r"socket:\[(\d+)\]", link))}
    rows = [
        line.split()
        for table in ("tcp", "tcp6")
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]
    ]
    return [row[1] for row in rows if row[3] == "0A" and row[9] in inodes]
