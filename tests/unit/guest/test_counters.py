from __future__ import annotations

import json
from typing import Any

import pytest

from guest.netlink import Malformed
from guest.observe.counters import Counter, Counters, parse_nft, parse_save


def test_legacy_counters_by_comment(kernel: dict[str, Any]) -> None:
    counters = parse_save(kernel["save_legacy"])
    assert counters.packets("raw") == 3
    assert counters.rules["two words"] == Counter(3, 104)


def test_counters_of_two_rules_with_one_comment_are_added(kernel: dict[str, Any]) -> None:
    assert parse_save(kernel["save_legacy"]).packets("twice") == 3


def test_only_base_chains_have_policy_counters(kernel: dict[str, Any]) -> None:
    policies = parse_save(kernel["save_legacy"]).policies
    assert policies["mangle", "PREROUTING"] == Counter(3, 104)
    assert ("filter", "mine") not in policies


def test_iptables_nft_counters_are_read_as_legacy_ones(kernel: dict[str, Any]) -> None:
    assert parse_save(kernel["save_nft"]).packets("nftcounter") == 1


def test_nft_counters_by_comment_and_by_name(kernel: dict[str, Any]) -> None:
    counters = parse_nft(json.dumps(kernel["nft"]))
    assert counters.packets("web") > 0
    assert counters.packets("all") > counters.packets("web")
    assert counters.packets("x") > 0


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        '{"nftables": [1]}',
        '{"nftables": [{"counter": {"name": "x"}}]}',
        '{"nftables": [{"rule": {"comment": "x", "expr": ["counter"]}}]}',
        pytest.param('{"nftables":' + "[" * 100_000, id="deep"),
    ],
)
def test_what_nft_does_not_print_is_malformed(text: str) -> None:
    with pytest.raises(Malformed, match="not what `nft -j list ruleset` prints"):
        parse_nft(text)


def test_a_count_without_end_is_none() -> None:
    assert parse_save(f"[{'9' * 5_000}:1] -A x --comment y").rules == {}


def test_the_counter_of_an_unknown_comment_raises_KeyError() -> None:
    with pytest.raises(KeyError):
        Counters({}, {}).packets("nobody")
