"""What a change of a fact means to whoever runs the kernel, as far as its values tell: what to look
at after an upgrade.
"""

from __future__ import annotations

import re
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
_TOLD = re.compile(
    r"\b(log|logged|logs|statistics|counters?|counts?|dump|dumped|lists?|listed|columns?|events?|heard|sysctls?|files?|bytes|flush|default)\b"
)
# Facts that count what is good for the sender, and what is not.
_ARRIVED = ("forwarded", "answered")
_FAILED = ("drop", "drops", "insert_failed")


def impact_of(fact: str, meaning: str, before: FactValue | None, after: FactValue | None) -> Impact:
    """How the change bears on whoever runs the kernel.

    A first sorting for the reader by what the values say, such as `lost`, an errno or seconds; no
    verdict rests on it.
    """
    was, now = _collected(before), _collected(after)
    differing = delta(was, now)
    gone = " ".join(item_texts(was, differing.before))
    new = " ".join(item_texts(now, differing.after))
    fewer = _total(after) - _total(before)
    if (
        (_LOST.search(new) and not _LOST.search(gone))
        or (fact in _ARRIVED and fewer < 0)
        or (fact in _FAILED and fewer > 0)
    ):
        return Impact.TRAFFIC
    if fact.startswith("write") and fewer < 0:
        return Impact.CONFIGURATION
    if bool(_REFUSED.search(new)) != bool(_REFUSED.search(gone)):
        return Impact.CONFIGURATION if _REFUSED.search(new) else Impact.FEATURES
    if fact == "accepted":
        return Impact.CONFIGURATION if gone else Impact.FEATURES
    if (
        _STATE.search(f"{gone} {new}")
        or _LOST.search(gone)
        or fact.lower() in ("invalid", "untracked")
        or fact in _ARRIVED
    ):
        return Impact.CLASSIFICATION
    if _SECONDS.search(f"{gone} {new}") or (_TCP.search(gone) and _TCP.search(new)):
        return Impact.LIFETIME
    return Impact.OBSERVABILITY if _TOLD.search(meaning) else Impact.OTHER


def _collected(value: FactValue | None) -> list[str] | dict[str, int]:
    """A list or a map as it is, any other value as the one item of a list."""
    if isinstance(value, (list, dict)):
        return value
    return [] if value is None else [str(value)]


def _total(value: FactValue | None) -> int:
    """A number to see more or less by; of words, whether there is anything."""
    if isinstance(value, dict):
        return sum(value.values())
    return int(value) if isinstance(value, (bool, int)) else int(value not in (None, "none"))
