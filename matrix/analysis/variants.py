"""Groups variants of an experiment that behave alike, each group with a short label."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import TypeVar

from matrix.plan.plan import variant_name

Variant = Mapping[str, str]
T = TypeVar("T")


def grouped(
    items: Iterable[T],
    key: Callable[[T], Hashable],
    variant: Callable[[T], Variant],
    everything: Callable[[T], Sequence[Variant]],
) -> list[tuple[str, list[T]]]:
    """Groups the items by key, in order of appearance: the label and the members of each group.

    `variant` returns an item's variant, `everything` all variants of its experiment; a group of all
    variants has an empty label.
    """
    groups: dict[Hashable, list[T]] = defaultdict(list)
    for item in items:
        groups[key(item)].append(item)
    return [
        (variants_label([variant(item) for item in members], everything(members[0])), members)
        for members in groups.values()
    ]


def variants_label(variants: Sequence[Variant], everything: Sequence[Variant]) -> str:
    """A short name for some of all variants: `frontend=nft` for all with that frontend,
    `frontend=legacy/nft,scope=user` and so on; else their names.
    """
    if len(variants) == len(everything):
        return ""
    parts, product = [], 1
    for parameter in variants[0]:
        # An experiment that was rewritten may have had other parameters.
        values = list(dict.fromkeys(variant.get(parameter, "") for variant in variants))
        product *= len(values)
        if set(values) != {variant.get(parameter) for variant in everything}:
            parts.append(f"{parameter}={'/'.join(values)}")
    return (
        ",".join(parts)
        if product == len(variants) and parts
        else "; ".join(variant_name(variant) for variant in variants)
    )
