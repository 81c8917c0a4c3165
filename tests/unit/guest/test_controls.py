from __future__ import annotations

import ipaddress
from dataclasses import replace

import pytest

from guest.controls import CONTROLS, UNDISTURBED, Control, Settings, control_of
from guest.lab.packets import parse, udp

CLIENT, CLIENT_6 = "10.0.1.2:40000", "[2001:db8:1::2]:40000"


def test_every_control_but_the_one_that_does_nothing_differs_from_it_and_from_the_others() -> None:
    does = [replace(control, meaning="") for control in CONTROLS.values()]
    assert [name for name, one in zip(CONTROLS, does, strict=True) if one == Control("")] == [UNDISTURBED]
    assert all(one not in does[:place] for place, one in enumerate(does))


def test_a_cell_without_the_parameter_is_not_disturbed_and_an_unknown_control_is_an_error() -> None:
    assert control_of({"family": "ipv4"}) is CONTROLS[UNDISTURBED]
    with pytest.raises(KeyError):
        control_of({"control": "everything"})


@pytest.mark.parametrize(
    ("settings", "spared", "refused"),
    [(Settings.SET, False, False), (Settings.LEFT, True, False), (Settings.REFUSED, True, True)],
)
def test_only_settings_that_are_not_of_addresses_and_routes_are_spared_or_refused(
    settings: Settings, spared: bool, refused: bool
) -> None:
    assert settings.spare("net/netfilter/nf_conntrack_max") is spared
    assert settings.refuse("net/netfilter/nf_conntrack_max") is refused
    assert not settings.spare("net/ipv4/ip_forward")
    assert not settings.refuse("net/ipv4/ip_forward")


def test_numbers_that_are_no_switches_and_not_of_routes_are_set_to_less() -> None:
    timeout = "net/netfilter/nf_conntrack_udp_timeout"
    assert [Settings.LESS.given(timeout, value) for value in (3200, 33, 31, 0, "64")] == [100, 1, 31, 0, "64"]
    assert Settings.LESS.given("net/ipv4/icmp_ratelimit", 3200) == 3200
    assert [Settings.SET.given(timeout, 3200), Settings.LESS.spare(timeout)] == [3200, False]


@pytest.mark.parametrize(
    ("name", "arrived"),
    [
        ("twice", [b"a", b"a", b"b", b"b", b"c", b"c"]),
        ("every-second", [b"a", b"c"]),
        ("late", [b"a", b"b"]),
        ("damaged", [b"`", b"c", b"b"]),
        ("cut-off", [b"a", b"b"]),
    ],
)
def test_a_wire_makes_other_packets_of_those_that_are_sent(name: str, arrived: list[bytes]) -> None:
    make = CONTROLS[name].wire
    assert make is not None
    for _ in range(2):  # each tun has a wire of its own
        wire = make()
        assert [handed for sent in (b"a", b"b", b"c") for handed in wire(sent)] == arrived


@pytest.mark.parametrize("client", [CLIENT, CLIENT_6])
@pytest.mark.parametrize("name", ["elsewhere", "aged", "twin"])
def test_a_packet_that_was_changed_on_the_wire_has_the_checksums_that_it_should_have(
    name: str, client: str
) -> None:
    for change in _sent(name, client, 2):
        again = parse(change)
        for layer in (again, again["UDP"]):
            layer.chksum = None
        assert bytes(again) == change


@pytest.mark.parametrize(
    ("name", "client", "seen"),
    [
        ("elsewhere", CLIENT, [("10.0.1.2", 39999, 54, 64)]),
        ("elsewhere", CLIENT_6, [("2001:db8:1::2", 39999, 54, 64)]),
        ("aged", CLIENT, [("10.0.1.2", 40000, 53, 63)]),
        ("aged", CLIENT_6, [("2001:db8:1::2", 40000, 53, 63)]),
        ("twin", CLIENT, [("10.0.1.2", 40000, 53, 64), ("10.1.1.1", 40000, 53, 64)]),
        ("twin", CLIENT_6, [("2001:db8:1::2", 40000, 53, 64), ("2001:db8:1::1:1", 40000, 53, 64)]),
    ],
)
def test_a_wire_changes_ports_lifetimes_and_sources(
    name: str, client: str, seen: list[tuple[str, int, int, int]]
) -> None:
    found = [parse(data) for data in _sent(name, client, 2)]
    assert [
        (packet.src, packet.sport, packet.dport, packet.hlim if packet.version == 6 else packet.ttl)
        for packet in found
    ] == [(str(ipaddress.ip_address(source)), *numbers) for source, *numbers in seen]


def test_only_from_the_second_to_the_fiftieth_do_packets_go_elsewhere() -> None:
    assert parse(_sent("elsewhere", CLIENT, 1)[0]).dport == 53
    assert parse(_sent("elsewhere", CLIENT, 50)[0]).dport == 54
    assert parse(_sent("elsewhere", CLIENT, 51)[0]).dport == 53


@pytest.mark.parametrize("name", ["untagged", "elsewhere", "aged", "twin"])
def test_a_frame_loses_its_tag_and_else_is_as_it_was(name: str) -> None:
    head, rest = b"\2" + bytes(11), b"\x08\x00data"
    tagged = head + b"\x81\x00\x00\x05" + rest
    make = CONTROLS[name].wire
    assert make is not None
    wire = make()
    assert [wire(head + rest) for _ in range(2)] == [[head + rest]] * 2
    assert wire(tagged) == [head + rest if name == "untagged" else tagged]


def _sent(name: str, client: str, number: int) -> list[bytes]:
    """What arrives of the packet of that number from a client."""
    make = CONTROLS[name].wire
    assert make is not None
    wire = make()
    server = {CLIENT: "10.0.2.2:53", CLIENT_6: "[2001:db8:2::2]:53"}[client]
    return [wire(bytes(udp(client, server, b"data"))) for _ in range(number)][-1]


def test_values_before_the_experiment_are_other_ones() -> None:
    switched = CONTROLS["switched"].before
    assert switched is not None
    assert [switched("any", value) for value in ("0", "1", "30")] == [["1", "255"], ["0"], []]
