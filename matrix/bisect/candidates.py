"""Which titles of a changelog name what an experiment is about."""

from __future__ import annotations

import re
from collections.abc import Iterable

from matrix.bisect.target import Target
from vms.text import shown

MOST = 20
"""How many candidates are named."""
_CHARACTERS = 300

_OURS = re.compile(
    r"(\[\S+\] |Revert \"|net: )*(netfilter|ipvs|bridge|tcp|sctp|ipset|nft|openvswitch|act_ct)\b(?!-)"
)
# What questions and facts say of anything.
_COMMON = (
    "does that with from when what this which into there have after before still only packet connection"
    " entry entrie flow kernel state value user root ipv4 ipv6 conntrack netfilter answer same long more"
    " than they the and not"
)


def candidates(target: Target, titles: Iterable[str]) -> tuple[str, ...]:
    """The titles that are of a subsystem this project asks about, or share words with the
    experiment's name, topic, modules or fact; those that share most first, at most `MOST`.

    It orders what is to be read; no verdict depends on it.
    """
    experiment = target.experiment
    subject = _words(experiment.name, experiment.topic, *experiment.modules, target.fact.name)
    wider = _words(experiment.doc, target.fact.meaning) - subject
    scored = []
    for place, title in enumerate(titles):
        words = _words(title)
        ours = _OURS.match(title) is not None
        score = 4 * ours + 2 * len(words & subject) + len(words & wider)
        if ours or len(words & subject) > 1:
            scored.append((-score, place, title))
    return tuple(shown(title, _CHARACTERS) for _, _, title in sorted(scored)[:MOST])


def _words(*texts: str) -> frozenset[str]:
    """The words of three letters and more, without an ending `s`, but those that say nothing."""
    found = {word.removesuffix("s") for text in texts for word in re.findall(r"[a-z0-9]{3,}", text.lower())}
    return frozenset(found - {*_COMMON.split()})
