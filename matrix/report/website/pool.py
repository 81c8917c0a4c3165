"""Lists in which equal entries stand once, for data that a page carries."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from itertools import groupby
from typing import Generic, TypeVar

T = TypeVar("T")


class Pool(Generic[T]):
    """Entries that others refer to by their places."""

    def __init__(self) -> None:
        self.entries: list[T] = []
        self._places: dict[Hashable, int] = {}

    def place(self, key: Hashable, make: Callable[[], T]) -> int:
        """The place of the entry with this key, which is made if it is not there."""
        place = self._places.get(key)
        if place is None:
            entry = make()
            place = self._places[key] = len(self.entries)
            self.entries.append(entry)
        return place


def lengths(values: Iterable[int]) -> list[int]:
    """Numbers with how often each is repeated, which is short for what seldom changes.

    >>> lengths([7, 7, 7, 8])
    [7, 3, 8, 1]
    """
    return [number for value, run in groupby(values) for number in (value, len(list(run)))]
