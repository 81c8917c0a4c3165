"""Rule and policy counters, read from `iptables-save -c` and `nft -j list ruleset`."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from guest.netlink import Malformed

_SHOWN = 1_000  # characters of an output that cannot be read
_RULE = re.compile(r"\[(\d{1,20}):(\d{1,20})\] -A (\S+)(.*)")
_CHAIN = re.compile(r":(\S+) (\S+) \[(\d{1,20}):(\d{1,20})\]")
_COMMENT = re.compile(r'--comment ("([^"]*)"|(\S+))')


@dataclass(frozen=True)
class Counter:
    """Packets and bytes counted."""

    packets: int
    bytes: int


@dataclass(frozen=True)
class Counters:
    """Counters of one reading: of rules by their comment, and of base chains' policies by (table,
    chain).
    """

    rules: dict[str, Counter]
    policies: dict[tuple[str, str], Counter]

    def packets(self, name: str) -> int:
        """Packets counted by the rules with this comment; KeyError if there is no such rule."""
        return self.rules[name].packets

    def __or__(self, other: Counters) -> Counters:
        return Counters(self.rules | other.rules, self.policies | other.policies)


def parse_save(text: str) -> Counters:
    """Counters from the output of `iptables-save -c`, either frontend.

    A comment used twice counts once for both.
    """
    rules: dict[str, Counter] = {}
    policies: dict[tuple[str, str], Counter] = {}
    table = ""
    for line in text.splitlines():
        if line.startswith("*"):
            table = line[1:]
        elif chain := _CHAIN.fullmatch(line):
            name, policy, packets, octets = chain.groups()
            if policy != "-":
                policies[table, name] = Counter(int(packets), int(octets))
        elif (rule := _RULE.fullmatch(line)) and (comment := _COMMENT.search(rule[4])):
            _add(rules, comment[2] or comment[3], int(rule[1]), int(rule[2]))
    return Counters(rules, policies)


def parse_nft(text: str) -> Counters:
    """Counters from `nft -j list ruleset`: of rules by their comment, and named counters by their
    name. Raises Malformed if it is something else.
    """
    rules: dict[str, Counter] = {}
    try:
        for item in json.loads(text)["nftables"]:
            if "counter" in item:
                _add_nft(rules, item["counter"]["name"], item["counter"])
            elif "rule" in item and "comment" in item["rule"]:
                for expression in item["rule"]["expr"]:
                    if isinstance(expression.get("counter"), dict):
                        _add_nft(rules, item["rule"]["comment"], expression["counter"])
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise Malformed(f"not what `nft -j list ruleset` prints: {text[:_SHOWN]!r}") from error
    return Counters(rules, {})


def _add_nft(rules: dict[str, Counter], name: Any, counter: dict[str, Any]) -> None:
    _add(rules, str(name), int(counter["packets"]), int(counter["bytes"]))


def _add(rules: dict[str, Counter], name: str, packets: int, octets: int) -> None:
    before = rules.get(name, Counter(0, 0))
    rules[name] = Counter(before.packets + packets, before.bytes + octets)
