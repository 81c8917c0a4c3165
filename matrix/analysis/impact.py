"""What a change of a fact affects, judging by its values: what to look at after an upgrade."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from matrix.analysis.fact_value import delta, item_texts
from matrix.results.record import FactValue


class Impact(StrEnum):
    """What a change affects, the most serious first.

    `traffic`: packets that came through no longer do. `configuration`: settings and rules that were
    accepted no longer are. `classification`: packets are in another state, or are accepted now.
    `lifetime`: how long entries live. `features`: new settings and rules. `observability`: what is
    listed, counted and logged.
    """

    TRAFFIC = "traffic"
    CONFIGURATION = "configuration"
    CLASSIFICATION = "classification"
    LIFETIME = "lifetime"
    FEATURES = "features"
    OBSERVABILITY = "observability"
    OTHER = "other"


_LOST = re.compile(r"\b(lost|dropped)\b")
_REFUSED = re.compile(r"\bE(?!STAB)[A-Z]{3,}\b|\b(refused|absent)\b|not permitted|not supported|No such file")
_STATE = re.compile(r"\b(INVALID|UNTRACKED)\b")
_SECONDS = re.compile(r"\b\d+ s\b")
_TCP = re.compile(r"\b(SYN_SENT|ESTABLISHED|CLOSE|LAST_ACK|TIME_WAIT)\b")
_REPORTED = re.compile(
    r"\b(log|logged|logs|statistics|counters?|counts?|dump|dumped|lists?|listed|columns?|events?|heard|sysctls?|files?|bytes|flush|default)\b"
)
# Facts that count packets that arrived, and packets that did not.
_ARRIVED = ("forwarded", "answered")
_FAILED = ("drop", "drops", "insert_failed")


@dataclass(frozen=True)
class _Signs:
    """What a change shows: its fact, the values that are gone and those that are new, as text, and
    by how much its numbers grew.
    """

    fact: str
    meaning: str
    gone: str
    new: str
    growth: int


# The first that applies decides.
_RULES: tuple[tuple[Impact, Callable[[_Signs], object]], ...] = (
    (Impact.TRAFFIC, lambda s: _LOST.search(s.new) and not _LOST.search(s.gone)),
    (Impact.TRAFFIC, lambda s: s.fact in _ARRIVED and s.growth < 0),
    (Impact.TRAFFIC, lambda s: s.fact in _FAILED and s.growth > 0),
    (Impact.CONFIGURATION, lambda s: s.fact.startswith("write") and s.growth < 0),
    (Impact.CONFIGURATION, lambda s: _REFUSED.search(s.new) and not _REFUSED.search(s.gone)),
    (Impact.FEATURES, lambda s: _REFUSED.search(s.gone) and not _REFUSED.search(s.new)),
    (Impact.CONFIGURATION, lambda s: s.fact == "accepted" and s.gone),
    (Impact.FEATURES, lambda s: s.fact == "accepted"),
    (Impact.CLASSIFICATION, lambda s: _STATE.search(f"{s.gone} {s.new}") or _LOST.search(s.gone)),
    (Impact.CLASSIFICATION, lambda s: s.fact in _ARRIVED or s.fact.lower() in ("invalid", "untracked")),
    (Impact.LIFETIME, lambda s: _SECONDS.search(f"{s.gone} {s.new}")),
    (Impact.LIFETIME, lambda s: _TCP.search(s.gone) and _TCP.search(s.new)),
    (Impact.OBSERVABILITY, lambda s: _REPORTED.search(s.meaning)),
)


def impact_of(fact: str, meaning: str, before: FactValue | None, after: FactValue | None) -> Impact:
    """What a change of the fact affects.

    A first sorting for the reader by what the values say, such as `lost`, an errno or seconds; no
    verdict depends on it.
    """
    was, now = _collected(before), _collected(after)
    differing = delta(was, now)
    gone = " ".join(item_texts(was, differing.before))
    new = " ".join(item_texts(now, differing.after))
    signs = _Signs(fact, meaning, gone, new, _total(after) - _total(before))
    return next((impact for impact, applies in _RULES if applies(signs)), Impact.OTHER)


def _collected(value: FactValue | None) -> list[str] | dict[str, int]:
    """A list or a map as it is, any other value as the one item of a list."""
    if isinstance(value, (list, dict)):
        return value
    return [] if value is None else [str(value)]


def _total(value: FactValue | None) -> int:
    """A number that tells more from less: a map's sum; of text 1, or 0 for absent and `none`."""
    if isinstance(value, dict):
        return sum(value.values())
    return int(value) if isinstance(value, (bool, int)) else int(value not in (None, "none"))
