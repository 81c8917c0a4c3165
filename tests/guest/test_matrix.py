"""The seed experiment on the oldest and the newest kernel of the default matrix, all the way from a
spec to the reports.
"""

from __future__ import annotations

import json

import pytest
from scapy.utils import RawPcapReader

from guest.catalogue import load
from matrix.analysis.ledger.read import read_ledger
from matrix.invocation import Result, RunRequest, run_matrix
from matrix.plan.plan import plan_choices
from matrix.plan.selection import choose
from matrix.results.directory import cell_path
from matrix.results.record import Record, Status
from matrix.run.machines import Machines
from tests.support.fakes import Seen
from tests.support.project import CONFIG, ROOT
from tests.support.specs import kernels_of, project_with
from vms.cache import Cache
from vms.kernels.catalogue import Catalogue

pytestmark = pytest.mark.guest
SERIES = ("5.10", "7.3")


@pytest.fixture(scope="module")
def result(cache: Cache, tmp_path_factory: pytest.TempPathFactory) -> Result:
    catalogue = load()
    kernels = kernels_of(SERIES, Catalogue.load(CONFIG.debian, cache), ROOT)
    plan = plan_choices(kernels, choose(["baseline", "table-full"], catalogue))
    results = tmp_path_factory.mktemp("results")
    return run_matrix(
        RunRequest(
            plan,
            catalogue,
            read_ledger(),
            Machines(project_with(cache, CONFIG.debian)),
            results,
            2,
            ("matrix",),
            Seen(),
        )
    )


@pytest.fixture(params=SERIES)
def records(request: pytest.FixtureRequest, result: Result) -> list[Record]:
    return [record for record in result.analysis.records if record.kernel.startswith(f"{request.param}.")]


def counts(record: Record) -> list[object]:
    return [record.facts.get(fact) for fact in ("packets", "flows", "raw_packets", "mangle_packets")]


def test_both_frontends_scopes_and_families_are_asked(records: list[Record]) -> None:
    assert len(records) == 16
    assert {record.status for record in records} == {Status.PASS}
    assert {
        tuple(record.variant[name] for name in ("family", "frontend", "scope")) for record in records
    } == {
        (family, frontend, scope)
        for family in ("ipv4", "ipv6")
        for frontend in ("legacy", "nft")
        for scope in ("user", "root")
    }


def test_ten_packets_make_ten_flows(records: list[Record]) -> None:
    assert [counts(record) for record in records if record.experiment == "baseline"] == [[10, 10, 10, 10]] * 8


def test_a_table_of_seven_loses_three_between_raw_and_mangle(records: list[Record]) -> None:
    assert [counts(record) for record in records if record.experiment == "table-full"] == [[10, 7, 10, 7]] * 8


def test_the_evidence_is_there(result: Result, records: list[Record]) -> None:
    full = next(record for record in records if record.experiment == "table-full")
    cell = cell_path(result.run, full)
    assert {file.name for file in cell.iterdir()} == {*full.evidence, "record.json"}
    with RawPcapReader(str(cell / "capture.pcap")) as packets:
        # The experiment repeats itself where the kernel happened to drop an entry early.
        assert len(list(packets)) in range(10, 70, 10)
    assert "7 flows" in (cell / "conntrack.txt").read_text()
    assert "table full" in (cell / "dmesg.txt").read_text()


def test_the_manifest_says_what_was_booted(result: Result) -> None:
    manifest = json.loads((result.run / "manifest.json").read_bytes())
    for kernel in manifest["kernels"]:
        assert kernel["uname"].startswith(kernel["series"])
        assert len(kernel["sha256"]["vmlinuz"]) == 64
    assert manifest["finished"]


def test_nothing_in_it_is_unexplained(result: Result) -> None:
    assert result.analysis.unexplained == ()
    assert result.analysis.exit_code == 0
    assert {file.name for file in result.page.parent.iterdir()} >= {"index.html", "report.md", "junit.xml"}
