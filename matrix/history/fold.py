"""Variants that went the same way on every build, put together."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from matrix.analysis.table import variants_label
from matrix.history.query import Line


@dataclass(frozen=True)
class Group:
    """One experiment in the variants that went the same way.

    `label` names them; it is empty if they are all there are.
    """

    experiment: str
    label: str
    lines: tuple[Line, ...]


def fold(lines: Sequence[Line]) -> tuple[Group, ...]:
    """The groups, in the order in which their first variants come; each has the lines of its first
    variant.

    The same way is the same answers, changed in the same runs; one of them may have been run more
    often.
    """
    by_variant: dict[tuple[str, str], list[Line]] = defaultdict(list)
    for line in lines:
        by_variant[line.experiment, line.variant].append(line)
    everything: dict[str, list[Mapping[str, str]]] = defaultdict(list)
    groups: dict[tuple[str, str], list[str]] = defaultdict(list)
    for (experiment, variant), own in by_variant.items():
        everything[experiment].append(_parameters(variant))
        groups[
            experiment,
            repr([(line.id, [_answer(line, place) for place in range(len(line.spans))]) for line in own]),
        ].append(variant)
    folded = []
    for (experiment, _), variants in groups.items():
        label = variants_label([_parameters(variant) for variant in variants], everything[experiment])
        folded.append(Group(experiment, label, tuple(by_variant[experiment, variants[0]])))
    return tuple(folded)


def _answer(line: Line, place: int) -> tuple[object, ...]:
    span = line.spans[place]
    return span.status, span.value, span.first if place else None


def _parameters(variant: str) -> Mapping[str, str]:
    return dict(part.split("=", 1) for part in variant.split(",") if part)
