"""Words for the table, its limits, and entries that find no room in it."""

from __future__ import annotations

from matrix.analysis.wording.declare import Facts, words, yes_no


@words
def max_zero(facts: Facts) -> str:
    if not facts["write"]["0"]:
        return "refused"
    return "no limit" if facts["flows"]["0"] > facts["flows"]["1"] else "no room"


@words
def namespace_limit(facts: Facts) -> str:
    starved = "starves" if facts["second"] < facts["first"] else "none starves"
    return f"{yes_no(facts['write'] == 'ok')}, {starved}"


@words
def default_table_size(facts: Facts) -> str:
    return f"{facts['kib_per_bucket']} KiB, {facts['max_per_bucket']} per bucket"


@words
def chain_toolong(facts: Facts) -> str:
    return yes_no(facts["held"] != "all")


@words
def early_drop(facts: Facts) -> str:
    if facts["assured_early_drop"] != "none":
        return "assured ones too"
    return f"{facts['early_drop']} half-open ones"


@words
def sysctl_inventory(facts: Facts) -> str:
    return f"{len(facts['names'])} knobs, {len(facts['refused_in_child'])} locked"


@words
def input_drop_no_entry(facts: Facts) -> str:
    without = [place for place, flows in facts["flows"].items() if not flows]
    return f"yes, except {', '.join(without)}" if without else "yes"


@words
def table_full_local_send(facts: Facts) -> str:
    return f"{facts['udp']}, TCP {facts['tcp']}"


@words
def initial_namespace_full(facts: Facts) -> str:
    if not facts["dmesg"]:
        return "nothing"
    return f"table full{' in netns' if any('in netns' in line for line in facts['dmesg']) else ''}"


@words
def namespace_teardown(facts: Facts) -> str:
    return f"yes, {facts['freed']}" if facts["freed"].startswith("within") else "no"


@words
def hash_resize_under_load(facts: Facts) -> str:
    return yes_no(not (facts["all_there"] and facts["found_again"]))


@words
def connlimit_train(facts: Facts) -> str:
    more = [kind for kind in ("udp", "syn", "data") if facts[kind] != "once"]
    if more:
        return f"no: {', '.join(more)}"
    return "yes, but not on loopback" if facts["loopback"] > facts["after_close"] else "yes"


@words
def ct_count_syn(facts: Facts) -> str:
    return yes_no(facts["third_time"] == facts["first"])
