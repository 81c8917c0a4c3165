"""Every reader of bytes that somebody else wrote, and what must hold of what it reads."""

from __future__ import annotations

import io
import json
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import IO, Any, cast
from unittest.mock import patch

import msgspec
from sqlalchemy import create_engine

from guest.netlink import Malformed, messages
from guest.observe.counters import parse_nft, parse_save
from guest.observe.ctnetlink import parse_flow
from guest.observe.nft_counters import parse_counter
from guest.observe.proc import parse_netstat
from matrix.analysis.analysis import analyse
from matrix.baseline.baseline import read_baseline, write_baseline
from matrix.history.database import writing
from matrix.history.models import Base
from matrix.history.record import record
from matrix.plan.config import read_config
from matrix.plan.plan import Cell
from matrix.report.export.tables import as_csv
from matrix.report.export.tap import tap
from matrix.report.page.packets import MOST_PACKETS, NotACaptureError, read_packets
from matrix.report.write import write_reports
from matrix.results.decode import read_results
from matrix.results.directory import cell_path, read_run
from matrix.results.judge import Outcome, verdict
from matrix.results.record import FACT_CHARACTERS, FACT_ITEMS, Record
from matrix.script.verdicts import read_verdict
from tests.fuzz import seeds
from tests.fuzz.target import Target
from tests.support import sample
from tests.support.fakes import make_experiment, make_kernel
from vms.answer import Answer
from vms.deadline import Deadline
from vms.errors import FetchError, HostError, LostGuest, Unbootable, UsageError
from vms.guest import LONGEST_ANSWER, Guest
from vms.initramfs import needed_modules, unpack_module
from vms.kernels import archive, catalogue, local, lock, requirements
from vms.kernels.apt import PackageList
from vms.kernels.burden import burden
from vms.kernels.bzimage import release_of
from vms.kernels.changelog import titles_between
from vms.kernels.kernel import RELEASE, BootFiles
from vms.kernels.resolve import unique
from vms.kernels.spec import Local, parse
from vms.qemu import Qemu
from vms.splats import MOST_CHARACTERS, MOST_SPLATS, find_splats
from vms.text import shown

_FACTS = {"flows": int, "seen": bool, "state": str, "states": list, "drops": dict}
_EXPERIMENT = make_experiment("table-full", _FACTS)
_CELL = Cell(make_kernel("6.1.1"), _EXPERIMENT, {"scope": "root"})
_SECONDS = 5
_MOST_RECORDS = 8


def _answer(data: bytes, _place: Path) -> None:
    header, _, whole = data.partition(b"\n")
    judged = verdict(_CELL, Outcome(Answer(header, whole)), 1)
    assert msgspec.json.decode(msgspec.json.encode(judged.record), type=Record) == judged.record
    assert sorted(judged.evidence) == list(judged.record.evidence)
    assert all("/" not in name for name in judged.evidence)


def _agent(data: bytes, place: Path) -> None:
    qemu = SimpleNamespace(
        directory=place, ended=False, epitaph="", wait=lambda _deadline: True, clock=time.monotonic
    )
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(data)
        theirs.shutdown(socket.SHUT_WR)
        guest = Guest(cast(Qemu, qemu), "6.1.1", lambda: True)
        guest._ports["agent"] = ours
        answer = guest.ask(b'{"id": "7"}', Deadline(_SECONDS, "the answer"))
    assert len(answer.whole) <= LONGEST_ANSWER


def _capture(data: bytes, _place: Path) -> None:
    packets, more = read_packets(data)
    assert len(packets) <= MOST_PACKETS
    assert not more or len(packets) == MOST_PACKETS
    msgspec.json.encode(packets)


def _console(data: bytes, _place: Path) -> None:
    log = data.decode(errors="replace")
    found = find_splats(log)
    assert len(found) <= MOST_SPLATS
    for one in found:
        assert one.text == shown(one.text, 2 * MOST_CHARACTERS)
        assert len(one.text) <= MOST_CHARACTERS + 100
    assert shown(shown(log)) == shown(log)


def _config_of_a_kernel(data: bytes, place: Path) -> None:
    config, _, rest = data.partition(b"\0")
    builtin, _, dependencies = rest.partition(b"\0")
    for name, content in (("config", config), ("modules.builtin", builtin), ("modules.dep", dependencies)):
        (place / name).write_bytes(content)
    files = BootFiles(make_kernel("6.1.1"), "6.1.1", place / "vmlinuz", place, place / "config", {})
    requirements.missing(files)
    assert 1 <= burden(files).slowness <= 100
    needed_modules(place)


def _module(data: bytes, place: Path) -> None:
    kind, _, content = data.partition(b"\n")
    suffix = {b"xz": ".ko.xz", b"gz": ".ko.gz", b"zst": ".ko.zst"}.get(kind, ".ko")
    (place / f"x{suffix}").write_bytes(content)
    unpack_module(place / f"x{suffix}", place / "out.ko", Deadline(_SECONDS, "unpacking a module"))


def _package(data: bytes, place: Path) -> None:
    (place / "given").write_bytes(data)
    archive.extract(place / "given", place / "out")
    assert {path.name for path in place.iterdir()} <= {"given", "out"}
    for path in (place / "out").rglob("*"):
        assert not path.is_symlink()
        assert path.is_file() or path.is_dir()


def _stream_of_a_package(data: bytes, place: Path) -> None:
    """The same with what bsdtar could make of a package, which nothing has to start."""

    @contextmanager
    def prints(_command: object, _deadline: Deadline) -> Iterator[IO[bytes]]:
        yield io.BytesIO(data)

    with patch("vms.tool.output_of", prints):
        _package(data, place)


def _named(scheme: str) -> Callable[[bytes, Path], object]:
    def read(data: bytes, place: Path) -> object:
        (place / "given").write_bytes(data)
        return local.kernel(Local(scheme, ("given",)), place)

    return read


def _tree(data: bytes, place: Path) -> None:
    release, _, order = data.partition(b"\n")
    tree = place / "tree"
    for name, content in (
        (str(local.RELEASE), release),
        ("modules.order", order),
        (str(local.BZIMAGE), b""),
        ("net/x.ko", b""),
    ):
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_bytes(content)
    (place / "outside.ko").touch()
    local.kernel(Local("tree", ("tree",)), place)
    for name, path in local.tree_modules(tree):
        assert ".." not in name.split("/")
        assert path.resolve().is_relative_to(tree.resolve())


def _bzimage(data: bytes, place: Path) -> None:
    (place / "vmlinuz").write_bytes(data)
    assert RELEASE.fullmatch(release_of(place / "vmlinuz"))


def _package_list(data: bytes, place: Path) -> None:
    (place / "lists").mkdir()
    (place / "Packages").write_bytes(data)
    source = PackageList(place / "Packages", "http://mirror.invalid", "stable")
    apt = SimpleNamespace(root=place, updated=0.0, package_lists=lambda: [source])
    read = catalogue._read(cast(Any, apt))
    assert catalogue._read(cast(Any, apt)) == read


def _changelog(data: bytes, _place: Path) -> None:
    titles = titles_between(data.decode(errors="replace"), "6.12.116-1")
    assert all("\n" not in title for title in titles)


def _lock(data: bytes, place: Path) -> None:
    (place / "matrix.lock").write_bytes(data)
    found = lock.read(place / "matrix.lock")
    lock.write(found, place / "again.lock")
    for locked in found.locked:
        unique(locked.kernels)
    assert lock.read(place / "again.lock") == found


def _spec(data: bytes, _place: Path) -> None:
    text = data.decode(errors="replace")
    assert parse(text).text == text


def _config(data: bytes, place: Path) -> None:
    (place / "matrix.toml").write_bytes(data)
    assert read_config(place / "matrix.toml").cache.size >= 0


def _baseline(data: bytes, place: Path) -> None:
    (place / "baseline.json").write_bytes(data)
    found = read_baseline(place / "baseline.json")
    write_baseline(place / "again.json", found)
    assert read_baseline(place / "again.json") == found


def _run(data: bytes, place: Path) -> None:
    """Reads a run directory as every command does that is given one, and writes all reports of it.

    The first line of the bytes is its manifest, the second its `results.json`, the others records.
    """
    run = place / "run"
    manifest, _, rest = data.partition(b"\n")
    results, _, rest = rest.partition(b"\n")
    for name, content in (("manifest.json", manifest), ("results.json", results)):
        run.mkdir(exist_ok=True)
        (run / name).write_bytes(content)
    for number, content in enumerate(rest.splitlines()[:_MOST_RECORDS]):
        (run / "cells" / str(number)).mkdir(parents=True)
        (run / "cells" / str(number) / "record.json").write_bytes(content)
    known, found = read_run(run)
    assert all(cell_path(run, one).resolve().is_relative_to(run.resolve()) for one in found)
    analysis = analyse(known, found, {"baseline": make_experiment("baseline")}, sample.EMPTY)
    write_reports(run, analysis)
    tap(analysis.records)
    as_csv(known, found)
    engine = create_engine("sqlite://")
    with writing(engine) as connection:
        Base.metadata.create_all(connection)
    record(engine, "here", known, found)
    engine.dispose()
    read_results(run)
    assert {path.name for path in place.iterdir()} == {"run"}


def _flow(data: bytes, _place: Path) -> None:
    flow = parse_flow(data)
    json.dumps([str(flow), flow.lifetime, sorted(flow.status)])


def _text(reader: Callable[[str], object]) -> Callable[[bytes, Path], object]:
    return lambda data, _place: reader(data.decode(errors="replace"))


def _verdict(data: bytes, _place: Path) -> None:
    said = read_verdict(data[0] if data else 0, data[1:].decode(errors="replace"))
    assert len(said.parts) < FACT_ITEMS
    assert all(len(text) <= FACT_CHARACTERS for text in (*said.parts, said.reason))


TARGETS = {
    target.name: target
    for target in (
        Target("answer", _answer, (), seeds.answers),
        Target("agent", _agent, (LostGuest,), seeds.agents),
        Target("capture", _capture, (NotACaptureError,), seeds.captures),
        Target("console", _console, (), seeds.consoles),
        Target("kernel-config", _config_of_a_kernel, (Unbootable,), seeds.kernel_configs),
        Target("module", _module, (HostError,), seeds.modules),
        Target("package", _package, (FetchError,), seeds.packages),
        Target("package-stream", _stream_of_a_package, (FetchError,), seeds.streams),
        Target("deb", _named("deb"), (UsageError,), seeds.debs),
        Target("rpm", _named("rpm"), (UsageError,), seeds.rpms),
        Target("tree", _tree, (UsageError,), seeds.trees),
        Target("bzimage", _bzimage, (FetchError,), seeds.bzimages),
        Target("package-list", _package_list, (FetchError,), seeds.package_lists),
        Target("changelog", _changelog, (), seeds.changelogs),
        Target("lock", _lock, (UsageError,), seeds.locks),
        Target("spec", _spec, (UsageError,), seeds.specs),
        Target("config", _config, (UsageError,), seeds.configs),
        Target("baseline", _baseline, (UsageError,), seeds.baselines),
        Target("run", _run, (UsageError,), seeds.runs),
        Target("netlink", lambda data, _: list(messages(data)), (Malformed,), seeds.netlinks),
        Target("flow", _flow, (Malformed,), seeds.flows),
        Target("nft-counter", lambda data, _: parse_counter(data), (Malformed,), seeds.nft_counters),
        Target("nft", _text(parse_nft), (Malformed,), seeds.nfts),
        Target("iptables-save", _text(parse_save), (), seeds.saves),
        Target("verdict", _verdict, (), seeds.verdicts),
        Target("netstat", _text(parse_netstat), (Malformed,), seeds.netstats),
    )
}
"""Each target by its name."""
