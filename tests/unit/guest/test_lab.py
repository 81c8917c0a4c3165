from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from guest.lab.lab import Lab
from guest.lab.namespace import Namespace
from tests.support.project import ROOT


@pytest.fixture(scope="module")
def lab() -> dict[str, Any]:
    """The results of lab_script.py, run as root of fresh user and network namespaces."""
    command = [
        "unshare",
        "--user",
        "--map-root-user",
        "--net",
        sys.executable,
        "-m",
        "tests.unit.guest.lab_script",
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=900)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_a_host_answers_a_datagram_to_a_closed_port(lab: dict[str, Any]) -> None:
    assert lab["host"]["answer"] == ["192.0.2.1", "198.18.0.2", 3, 3]


def test_kernel_and_tun_count_the_same_packets(lab: dict[str, Any]) -> None:
    assert (lab["host"]["received"], lab["host"]["handed"]) == (6, 6)


def test_packets_of_a_tun_are_in_the_capture(lab: dict[str, Any]) -> None:
    assert lab["host"]["captured"]


@pytest.mark.parametrize("name", ["router", "router6"])
def test_a_router_forwards_both_ways_and_reports_a_lost_packet(lab: dict[str, Any], name: str) -> None:
    assert lab[name] == {"states": ["", 1, "", 1], "expired": "lost", "told": 1}


def test_a_sysctl_belongs_to_its_namespace(lab: dict[str, Any]) -> None:
    assert (lab["sysctls"]["here"], lab["sysctls"]["there"]) == ("33", "64")
    assert lab["sysctls"]["after"] == ["33", "44"]
    assert lab["sysctls"]["names"]


def test_a_refused_value_has_an_errno_and_a_missing_sysctl_is_unsupported(lab: dict[str, Any]) -> None:
    assert lab["sysctls"]["refused"] == "EINVAL"
    assert lab["sysctls"]["missing"] == "writing 1 to net/ipv4/no_such_knob: ENOENT"


def test_two_namespaces_have_separate_tuns_of_one_name(lab: dict[str, Any]) -> None:
    assert lab["namespaces"] == {"answers": [1, 0], "counts": [1, 0], "links_here": True}


def test_a_wait_notes_its_condition_and_whether_it_held(lab: dict[str, Any]) -> None:
    assert (lab["waiting"]["true"], lab["waiting"]["false"]) == (True, False)
    assert "did not happen within 0.05 s: the impossible" in lab["waiting"]["notes"]
    assert "the third look" in lab["waiting"]["notes"]


def test_a_control_takes_something_from_the_experiment_and_nothing_else(lab: dict[str, Any]) -> None:
    assert lab["controls"] == {
        "none": [4, 4],
        "twice": [8, 8],
        "late": [3, 3],
        "every-second": [2, 2],
        "damaged": [1, 0],
        "deaf": ["a"],
        "garbled": ["`", "`"],
        "no-settings": ["ENOENT", "33"],
        "rules of none": [["-A INPUT -j ACCEPT", "-A INPUT -j DROP"], ["third"]],
        "rules of no-first-rule": [["-A INPUT -j DROP"], ["third"]],
        "rules of only-first-rule": [["-A INPUT -j ACCEPT"], []],
        "rules of no-rules": [[], []],
        "hasty": [False, "later"],
    }


def test_how_soon_a_condition_holds_is_a_class(lab: dict[str, Any]) -> None:
    assert lab["soon"] == ["at once", "within 1 s", "later"]


def test_a_neighbour_whose_hardware_address_is_known_gets_frames_without_being_asked(
    lab: dict[str, Any],
) -> None:
    assert lab["ethernet"] == {"to": ["020000000002"], "from_own": [True]}


class Disturbed(Lab):
    """A lab in whose namespaces early drop evicts as many flows as the test says."""

    def __init__(self, evicted: list[int]) -> None:
        self.evicted = iter(evicted)

    def new_namespace(self) -> Namespace:
        place = Namespace.__new__(Namespace)
        statistics = {"early_drop": next(self.evicted)}
        place.statistics = lambda since=None: statistics  # type: ignore[method-assign]
        return place


@pytest.mark.parametrize(("evicted", "tries"), [([0], 1), ([2, 1, 0], 3), ([1] * 6, 6)])
def test_a_try_that_early_drop_disturbed_is_repeated_but_not_for_ever(evicted: list[int], tries: int) -> None:
    assert len(list(Disturbed(evicted).undisturbed())) == tries
