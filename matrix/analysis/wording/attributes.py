"""Words for what an entry carries: marks, labels, counters, helpers."""

from __future__ import annotations

from matrix.analysis.wording.declare import Facts, by_key, words, yes_no


@words
def labels_marks(facts: Facts) -> str:
    return yes_no(facts["mark"] and facts["restored"] and not facts["after_delete"])


@words
def accounting_timestamps(facts: Facts) -> str:
    exact = facts["packets"] == ["3", "2"] and facts["bytes"] == ["96", "64"]
    since = "new entries only" if facts["switched_on"] == "none" else "old entries too"
    return f"{'exact' if exact else 'not exact'}, {since}"


@words
def labels_without_rule(facts: Facts) -> str:
    if facts["set_without"] == "ok":
        return "yes"
    return "only if a rule matches" if facts["set_matched"] == "ok" else "no"


@words
def helper_modules(facts: Facts) -> str:
    loaded = sum(state == "loaded" for state in by_key(facts["loaded"]).values())
    warned = f"warns of {len(facts['logged'])}" if facts["logged"] else "no warning"
    ports = " and ports" if any("ports" in text for text in by_key(facts["ports_logged"]).values()) else ""
    return f"{loaded}, {warned}{ports}"


@words
def helper_autoassign(facts: Facts) -> str:
    if facts["by_default"] != "none":
        return "by itself"
    if facts["with_sysctl"] != "none":
        return "once switched on"
    return "only by a rule" if facts["ports_parameter"] else "only by a rule, no ports"


@words
def ftp_expectation(facts: Facts) -> str:
    related = [name for name in ("active", "passive") if facts[name] == "RELATED"]
    strangers = any(facts[name] == "RELATED" for name in ("again", "other_port", "other_host"))
    whose = "others too" if strangers else "announced"
    return f"{whose}, {facts['lifetime']}" if related else "none"


@words
def ftp_nat(facts: Facts) -> str:
    return yes_no(facts["data"] == "client" and facts["data_state"] == "RELATED")


@words
def multicast_answer(facts: Facts) -> str:
    answers = by_key(facts["answers"])
    kinds = [state.partition(",")[0] for name, state in answers.items() if name.startswith("helper ")]
    related = kinds.count("related")
    return f"{related} of {len(kinds)}, with a helper" if related else "no"


@words
def entries_by_hand(facts: Facts) -> str:
    if facts["create"] != "ok":
        return f"no, {facts['create']}"
    carries = facts["replied"] == "ESTABLISHED" and facts["translated"] == "backend"
    return "yes, and carry traffic" if carries else "yes, without traffic"
