"""Values of facts: as keys of dicts and sets, and compared item by item."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass

from matrix.results.record import FactValue


def frozen(value: FactValue | None) -> Hashable:
    """The value as a key: two keys are equal exactly if the values are, and 1 is not True."""
    if isinstance(value, list):
        return list, tuple(value)
    return (dict, frozenset(value.items())) if isinstance(value, dict) else (type(value), value)


def frozen_facts(facts: Mapping[str, FactValue]) -> Hashable:
    """All facts of a cell as a key."""
    return frozenset((name, frozen(value)) for name, value in facts.items())


@dataclass(frozen=True)
class Delta:
    """What two lists or two maps do not have in common, in their own order.

    Both sides are maps: of a key to its number, of a list's item to True.
    """

    before: Mapping[str, FactValue]
    after: Mapping[str, FactValue]

    @property
    def gone(self) -> dict[str, FactValue]:
        """What only the first side has."""
        return {item: value for item, value in self.before.items() if item not in self.after}

    @property
    def new(self) -> dict[str, FactValue]:
        """What only the second side has."""
        return {item: value for item, value in self.after.items() if item not in self.before}

    @property
    def changed(self) -> dict[str, tuple[FactValue, FactValue]]:
        """The keys whose numbers differ, with both numbers."""
        return {item: (value, self.after[item]) for item, value in self.before.items() if item in self.after}


def delta(before: FactValue | None, after: FactValue | None) -> Delta:
    """What differs between two lists or two maps; nothing unless both are one of these."""
    one, other = items(before), items(after)
    if one is None or other is None:
        return Delta({}, {})
    return Delta(
        {item: value for item, value in one.items() if other.get(item) != value},
        {item: value for item, value in other.items() if one.get(item) != value},
    )


def item_texts(value: FactValue | None, chosen: Mapping[str, FactValue]) -> list[str]:
    """The chosen items of a list, which may repeat them, or keys of a map, as text: `key 7`."""
    if isinstance(value, dict):
        return [f"{key} {number}" for key, number in value.items() if key in chosen]
    return [item for item in value if item in chosen] if isinstance(value, list) else []


def items(value: FactValue | None) -> dict[str, FactValue] | None:
    """A map as it is, a list as a map of its items to True; None for any other value."""
    if isinstance(value, list):
        return dict.fromkeys(value, True)
    return dict(value) if isinstance(value, dict) else None
