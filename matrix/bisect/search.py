"""Which builds to ask next, and between which the answer changes: a pure function of what is known.

Builds are numbers from 0 to `count - 1`, in the order of kernels. The first and the last are the
ends: one answers `old`, the other `new`. A build that answers neither is `unknown`: it is stepped
around, since the next to ask are chosen among those that were never asked.

A change there and back is invisible to a search that only halves: it never looks where it believes
to know the answer. So every stretch of unasked builds between two equal answers is looked into
until none is longer than a quarter of the range. What an answer there contradicts is narrowed like
everything else.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise

_UNSEEN = 4  # of equal answers, stretches of up to one in so many builds of the range stay unasked


class Side(StrEnum):
    """A build's answer: that of the range's first build, that of its last, or neither."""

    OLD = "old"
    NEW = "new"
    UNKNOWN = "unknown"


Known = Mapping[int, Side]
"""What was answered so far, by build."""


@dataclass(frozen=True)
class Pair:
    """Two builds with different answers, and nothing known between them.

    `unknown` are the builds between them that answered neither.
    """

    left: int
    right: int
    unknown: tuple[int, ...]


def next_builds(count: int, known: Known, at_once: int) -> tuple[int, ...]:
    """The builds to ask now, at most `at_once`, or both ends; empty at the end of the search.

    First both ends, then builds that divide the stretches in which the answer changes into equal
    parts, then those that look into what is believed to be the same. No build is ever named that
    has a verdict. The search also ends if an end answers neither.
    """
    ends = tuple(build for build in dict.fromkeys((0, count - 1)) if build not in known)
    if ends:
        return ends
    stretches = list(_stretches(known))
    changing = [unasked for differ, unasked in stretches if differ and unasked]
    unseen = [unasked for differ, unasked in stretches if not differ and len(unasked) > count // _UNSEEN]
    return _dividing(changing or unseen, at_once)


def pairs(known: Known) -> tuple[Pair, ...]:
    """Each pair of builds, from the first to the last, between which the answer changes as far as
    is known.

    At the end of a search all builds between the two of a pair are unknown.
    """
    found = []
    for left, right in _neighbours(known):
        if known[left] is not known[right]:
            unknown = tuple(sorted(build for build in known if left < build < right))
            found.append(Pair(left, right, unknown))
    return tuple(found)


def steps_left(count: int, known: Known, at_once: int) -> int:
    """How often `next_builds` will still name builds, if each answers as the nearest known build
    before it.
    """
    supposed = dict(known)
    steps = 0
    while ask := next_builds(count, supposed, at_once):
        steps += 1
        for build in ask:
            before = [other for other in known if other < build and known[other] is not Side.UNKNOWN]
            supposed[build] = known[max(before)] if before else Side.NEW if build else Side.OLD
    return steps


def _neighbours(known: Known) -> Iterator[tuple[int, int]]:
    """Each two builds that answered old or new, without another such build between them."""
    return pairwise(sorted(build for build, verdict in known.items() if verdict is not Side.UNKNOWN))


def _stretches(known: Known) -> Iterator[tuple[bool, list[int]]]:
    """Between each two neighbours: whether they differ, and the builds that were not asked."""
    for left, right in _neighbours(known):
        unasked = [build for build in range(left + 1, right) if build not in known]
        yield known[left] is not known[right], unasked


def _dividing(stretches: list[list[int]], at_once: int) -> tuple[int, ...]:
    """Builds that divide the stretches, the longest remaining parts first."""
    cuts = [0] * len(stretches)
    for _ in range(min(at_once, sum(map(len, stretches)))):
        open_ = [place for place, unasked in enumerate(stretches) if cuts[place] < len(unasked)]
        widest = max(open_, key=lambda place: len(stretches[place]) / (cuts[place] + 1))
        cuts[widest] += 1
    return tuple(
        unasked[len(unasked) * (cut + 1) // (number + 1)]
        for unasked, number in zip(stretches, cuts, strict=True)
        for cut in range(number)
    )
