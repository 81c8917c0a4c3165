from __future__ import annotations

from dataclasses import replace

import pytest

from guest.controls import CONTROLS, UNDISTURBED, Control, Settings, control_of


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


@pytest.mark.parametrize(
    ("name", "arrived"),
    [
        ("twice", [b"a", b"a", b"b", b"b", b"c", b"c"]),
        ("every-second", [b"a", b"c"]),
        ("late", [b"a", b"b"]),
        ("damaged", [b"`", b"c", b"b"]),
    ],
)
def test_a_wire_makes_other_packets_of_those_that_are_sent(name: str, arrived: list[bytes]) -> None:
    make = CONTROLS[name].wire
    assert make is not None
    for _ in range(2):  # each tun has a wire of its own
        wire = make()
        assert [handed for sent in (b"a", b"b", b"c") for handed in wire(sent)] == arrived


def test_values_before_the_experiment_are_other_ones() -> None:
    switched = CONTROLS["switched"].before
    assert switched is not None
    assert [switched("any", value) for value in ("0", "1", "30")] == [["1", "255"], ["0"], []]
