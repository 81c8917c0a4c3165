"""One base chain of nft's, from its place among netfilter's hooks and its rules."""

from __future__ import annotations

from collections.abc import Sequence

from guest.lab import nftables
from guest.lab.netns import Netns

_PRIORITIES = {"raw": -300, "mangle": -150, "dstnat": -100, "filter": 0, "srcnat": 100}
_NAT = {"prerouting": "dstnat", "output": "dstnat", "input": "srcnat", "postrouting": "srcnat"}


def header(place: str) -> str:
    """What nft wants a base chain to begin with, from a hook and a priority: `forward filter`.

    The priority is `raw`, `mangle`, `dstnat`, `filter`, `srcnat`, or a number; `nat` is the one
    that address translation has at that hook.
    """
    hook, _, word = place.partition(" ")
    word = _NAT[hook] if word == "nat" else word
    kind = "nat" if word in ("dstnat", "srcnat") else "filter"
    # As a number: nft's own words are other numbers in a bridge, and not known at every hook.
    return f"type {kind} hook {hook} priority {_PRIORITIES[word] if word in _PRIORITIES else int(word)}"


class Chain:
    """A base chain, alone in a table that is named after its place.

    A second one at the same place, in the same family, adds its rules to the first. Unless `loads`,
    nothing is loaded.
    """

    def __init__(
        self, netns: Netns, place: str, family: str, rules: Sequence[str], *, loads: bool = True
    ) -> None:
        self._netns = netns
        self._loads = loads
        self._table = f"{family} {place.replace(' ', '_').replace('-', 'before_')}"
        self._run(f"table {self._table} {{ chain c {{\n{header(place)}\n" + "\n".join(rules) + "\n}\n}\n")

    def replace(self, *rules: str) -> None:
        """Puts other rules in the place of the chain's, at once."""
        added = [f"add rule {self._table} c {rule}" for rule in rules]
        self._run("\n".join([f"flush chain {self._table} c", *added]))

    def delete(self) -> None:
        """Deletes the chain with its rules and its table."""
        self._run(f"delete table {self._table}")

    def _run(self, script: str) -> None:
        if not self._loads:
            return
        with self._netns.inside():
            nftables.run(script)
