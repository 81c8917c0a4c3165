from __future__ import annotations

from typing import cast

import pytest

from guest.family import Family
from matrix.script.topology import TOPOLOGIES, find_topology
from vms.deadline import Deadline
from vms.errors import HostError
from vms.ssh import Finished, Ssh


@pytest.mark.parametrize("family", list(Family))
def test_addresses_are_those_of_experiments(family: Family) -> None:
    router, host = (TOPOLOGIES[name].commands for name in ("router", "host"))
    for number in (1, 2):
        assert f"address add {family.interface(number)} dev tun{number - 1}" in router
        assert f"via {family.network(number, 1)}" in router
    for address in (family.client, family.server):
        assert f"address add {address}/" in router
    assert f"address add {family.local}" in host
    assert f"address add {family.distant}/" in host


def test_a_kernel_that_cannot_make_it_is_one_message_with_its_words() -> None:
    class Session:
        def run(self, command: str, deadline: Deadline) -> Finished:
            assert command.startswith("set -e;")
            return Finished(1, "RTNETLINK answers: Operation not supported\n")

    with pytest.raises(HostError, match=r"^6\.1\.9: the namespaces .* be made: RTNETLINK answers: Operation"):
        find_topology("host").make(cast(Ssh, Session()), "6.1.9", Deadline(10, "it"))


def test_a_command_runs_where_experiments_do() -> None:
    assert find_topology("router").words(("id", "-u")) == ("ip", "netns", "exec", "router", "id", "-u")
