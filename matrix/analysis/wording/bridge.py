"""Words for bridges."""

from __future__ import annotations

from matrix.analysis.wording.declare import Facts, words


@words
def reject_icmp_error(facts: Facts) -> str:
    match facts["answered"]["error"], facts["answered"]["error6"]:
        case 1, 1:
            return "yes"
        case 0, 0:
            return "no"
        case ipv4, _:
            return "only over IPv4" if ipv4 else "only over IPv6"
