from __future__ import annotations

import contextlib

import pytest

from guest.lab import nftables
from guest.lab.chain import Chain, header


@pytest.mark.parametrize(
    ("place", "begins"),
    [
        ("prerouting raw", "type filter hook prerouting priority -300"),
        ("forward filter", "type filter hook forward priority 0"),
        ("forward -10", "type filter hook forward priority -10"),
        ("prerouting nat", "type nat hook prerouting priority -100"),
        ("output nat", "type nat hook output priority -100"),
        ("postrouting nat", "type nat hook postrouting priority 100"),
        ("postrouting srcnat", "type nat hook postrouting priority 100"),
    ],
)
def test_hook_and_priority_become_the_head_of_a_base_chain(place: str, begins: str) -> None:
    assert header(place) == begins


@pytest.mark.parametrize("place", ["forward", "forward soon", "forward nat"])
def test_an_unknown_priority_of_a_chain_is_refused(place: str) -> None:
    with pytest.raises((ValueError, KeyError)):
        header(place)


class Here:
    """Stands in for a network namespace."""

    inside = contextlib.nullcontext


def test_a_chain_is_loaded_changed_and_deleted(monkeypatch: pytest.MonkeyPatch) -> None:
    scripts: list[str] = []
    monkeypatch.setattr(nftables, "run", scripts.append)
    chain = Chain(Here(), "forward -10", "ip", ("counter", "accept"))  # type: ignore[arg-type]
    chain.replace("drop")
    chain.delete()
    assert [" ".join(script.split()) for script in scripts] == [
        "table ip forward_before_10 { chain c { type filter hook forward priority -10 counter accept } }",
        "flush chain ip forward_before_10 c add rule ip forward_before_10 c drop",
        "delete table ip forward_before_10",
    ]
