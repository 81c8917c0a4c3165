"""Words for what resets do to the entry of a connection."""

from __future__ import annotations

from matrix.analysis.wording.declare import Facts, words, yes_no


def _ended(facts: Facts) -> str:
    return "no" if facts["state"] == "ESTABLISHED" else f"yes, {facts['lifetime']}"


@words
def syn_then_bogus_rst(facts: Facts) -> str:
    return _ended(facts)


@words
def inwindow_rst(facts: Facts) -> str:
    closed = "" if facts["state"] == "ESTABLISHED" else "closed, "
    return f"{closed}{facts['lifetime']}"


@words
def challenge_ack(facts: Facts) -> str:
    return yes_no(facts["state"] == "CLOSE")


@words
def rst_after_close(facts: Facts) -> str:
    if facts["spurious_refreshed"]:
        return "yes, any"
    return "only the exact one" if facts["refreshed"] else "no"


@words
def rst_for_ignored_syn(facts: Facts) -> str:
    return yes_no(facts["state"] == "CLOSE")


@words
def ignore_invalid_rst(facts: Facts) -> str:
    if facts["knob"] != "ok":
        return "no"
    return f"yes, leaves {' '.join(facts['entries'][-1].split()[-2:])}"


@words
def reject_reset(facts: Facts) -> str:
    return _ended(facts)


@words
def out_of_window_end(facts: Facts) -> str:
    left = " ".join(facts["both_sides"][1].split()[-2:])
    return f"{'yes' if int(left.split()[0]) > 86400 else 'no'}, {left}"
