"""Groups variants whose answers changed in the same way on every build."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass

from matrix.analysis.fact_value import frozen
from matrix.analysis.variants import Variant, grouped
from matrix.history.query import Line


@dataclass(frozen=True)
class Group:
    """One experiment in the variants with the same spans on every build.

    `label` names the variants; it is empty for all. `lines` are the first variant's, one per build.
    """

    experiment: str
    label: str
    lines: tuple[Line, ...]


def fold(lines: Sequence[Line]) -> tuple[Group, ...]:
    """The lines in groups, in the order of the groups' first variants.

    Variants are grouped if their answers are the same and changed in the same runs, even if one of
    them was run more often.
    """
    by_variant: dict[tuple[str, str], list[Line]] = defaultdict(list)
    for line in lines:
        by_variant[line.experiment, line.variant].append(line)
    everything: dict[str, list[Variant]] = defaultdict(list)
    for (experiment, _), own in by_variant.items():
        everything[experiment].append(own[0].parameters)
    return tuple(
        Group(members[0][0].experiment, label, tuple(members[0]))
        for label, members in grouped(
            by_variant.values(),
            key=lambda own: (own[0].experiment, *((line.id, *_answers(line)) for line in own)),
            variant=lambda own: own[0].parameters,
            everything=lambda own: everything[own[0].experiment],
        )
    )


def _answers(line: Line) -> Iterator[Hashable]:
    """Each answer of a build, and since when; when the first one began depends on the first run."""
    for place, span in enumerate(line.spans):
        yield span.status, frozen(span.value), span.first if place else None
