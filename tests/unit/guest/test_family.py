from __future__ import annotations

import socket

import pytest

from guest.catalogue import FAMILIES
from guest.family import Family


def test_a_variant_names_each_family() -> None:
    assert tuple(family.value for family in Family) == FAMILIES


@pytest.mark.parametrize(
    ("family", "names", "client", "interface"),
    [
        (Family.IPV4, ("ip", "iptables", socket.AF_INET, 20), "10.0.1.2", "10.0.3.1/24"),
        (Family.IPV6, ("ip6", "ip6tables", socket.AF_INET6, 40), "2001:db8:1::2", "2001:db8:3::1/64"),
    ],
)
def test_a_family_has_a_name_in_each_language(
    family: Family, names: tuple[object, ...], client: str, interface: str
) -> None:
    assert (family.nft, family.iptables, family.af, family.header) == names
    assert (family.client, family.interface(3)) == (client, interface)
    assert {Family.of(address) for address in (family.client, family.server, family.local)} == {family}
