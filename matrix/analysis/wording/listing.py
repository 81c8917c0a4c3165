"""Words for what dumps, files and events tell of the table."""

from __future__ import annotations

from matrix.analysis.wording.declare import Facts, by_key, words, yes_no


@words
def proc_dump(facts: Facts) -> str:
    if facts["proc"] != "all":
        return f"no, {facts['proc']}"
    if facts["staying"] != "nearly all":
        return "skips while it changes"
    return "complete" if facts["proc_per_flow"] == "alike" else "complete, slow"


@words
def slab_size(facts: Facts) -> str:
    return f"{facts['bytes']} bytes"


@words
def unconfirmed_list(facts: Facts) -> str:
    if facts["dump"]:
        return "yes"
    return "on a list of their own" if facts["unconfirmed"] == str(facts["count"]) else "no"


@words
def late_event_listener(facts: Facts) -> str:
    default = by_key(facts["late"])[facts["default"]]
    heard = "by default" if default == "DESTROY" else "not by default"
    return f"{heard}, timed" if "timestamp_event" in facts["destroy"] else heard


@words
def zone_dump_flush(facts: Facts) -> str:
    dump, flush = facts["dumped"] == ["zone 1"], facts["left"] == ["zone 0", "zone 2"]
    return yes_no(dump) if dump == flush else "only the dump" if dump else "only the flush"


@words
def dump_filter(facts: Facts) -> str:
    dump = "yes" if facts["one"] == "1" and facts["nobody"] == "0" else "by port"
    if facts["flush"] == "2":
        return f"{dump}, and a flush"
    return f"{dump}, flush too much" if facts["flush"].isdigit() else f"{dump}, no flush"


@words
def user_visible(facts: Facts) -> str:
    readable, refused = len(facts["readable"]), len(facts["refused"])
    log = "and log" if facts["log"] == "ok" else "no log"
    return f"{readable} of {readable + refused} files, {log}"


@words
def statistics_moved(facts: Facts) -> str:
    moved = by_key(facts["moved"])
    return f"{sum(names != 'none' for names in moved.values())} of {len(moved)} causes"


@words
def stat_columns(facts: Facts) -> str:
    return f"{len(facts['names'])} columns, {len(facts['netlink'])} netlink"
