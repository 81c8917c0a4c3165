"""Words for which rules there are, what switches tracking on, and who may do what."""

from __future__ import annotations

from matrix.analysis.wording.declare import Facts, by_key, words


def _of_all(accepted: int, refused: int) -> str:
    return f"{accepted} of {accepted + refused}" if refused else f"all {accepted}"


@words
def bpf_functions(facts: Facts) -> str:
    if not facts["functions"]:
        return "none"
    found = set(by_key(facts["lookup"]).values()) == {"found"}
    return f"{len(facts['functions'])} functions, {'found' if found else 'not found'}"


@words
def extension_inventory(facts: Facts) -> str:
    accepted = sum(len(facts[name]) for name in ("accepted", "ipv4_only", "ipv6_only"))
    idle = f", {len(facts['idle'])} idle" if facts["idle"] else ""
    return f"{_of_all(accepted, len(facts['refused']))}{idle}"


@words
def iptables_legacy(facts: Facts) -> str:
    return f"{_of_all(len(facts['tables']), len(facts['missing']))} tables"


@words
def nft_features(facts: Facts) -> str:
    hooks = ", hooks listed" if facts["list_hooks"] == "lists" else ""
    return f"{_of_all(len(facts['accepted']), len(facts['refused']))}{hooks}"


@words
def header_rewrite(facts: Facts) -> str:
    return _of_all(len(facts["accepted"]), len(facts["refused"]))


@words
def nfqueue_rewrite(facts: Facts) -> str:
    names = ("payload", "longer", "wrong_length", "ttl", "address")
    refused = [name.replace("_", " ") for name in names if facts[name] != "changed"]
    return "no" if len(refused) == len(names) else f"not {', '.join(refused)}" if refused else "yes"


@words
def lwtunnel_hooks(facts: Facts) -> str:
    if facts["own"] == "absent":
        return "no"
    return "only with conntrack" if facts["own_without"] == "absent" else "yes, without conntrack"


@words
def notrack(facts: Facts) -> str:
    untracked = set(facts["states"]) == {"UNTRACKED"}
    return f"{'untracked' if untracked else 'tracked'}, {'no NAT' if facts['source'] == 'client' else 'NAT'}"


@words
def asymmetric_notrack(facts: Facts) -> str:
    tcp = "TCP no" if facts["tcp_state"] == "gone" else "TCP yes"
    return f"{tcp}, UDP by {facts['udp_origin']}"


@words
def notrack_loopback(facts: Facts) -> str:
    return "tracked" if facts["flows"] else "exempt"


@words
def policy_counters(facts: Facts) -> str:
    if facts["listed_only"]:
        return "yes"
    return "once it has held a rule" if facts["rule_gone"] else "no"


@words
def conntrack_on_reference(facts: Facts) -> str:
    flows = [value for value in facts.values() if isinstance(value, int)]
    return f"{sum(map(bool, flows))} of {len(flows)} kinds of rule"


@words
def raw_socket_loopback(facts: Facts) -> str:
    alike = [name for name in ("raw", "packet") if facts[f"{name}_socket"] == facts["tun"]]
    return f"{' and '.join(alike)} sockets do" if alike else "no"


@words
def tracking_off(facts: Facts) -> str:
    return "yes, within 3 s" if facts["off"] == "within 3 s" else "not within 3 s"


@words
def empty_nat_chain(facts: Facts) -> str:
    if facts["empty"]:
        return "yes"
    return "with any rule" if facts["counted"] else "no"


@words
def tc_ct(facts: Facts) -> str:
    refused = [place.split()[0] for place, taken in facts["taken"].items() if not taken]
    where = f"all but {', '.join(refused)}" if refused else "all"
    seen = any(state.startswith("+trk") for state in facts["states"])
    return where if seen else f"{where}, flower blind"


@words
def concatenation_expired(facts: Facts) -> str:
    wrong = [
        name
        for name, is_wrong in (
            ("matches", "expired" in facts["after"]),
            ("re-added lost", "expired" not in facts["again"]),
            ("reload fails", facts["reload"] != "ok"),
        )
        if is_wrong
    ]
    return ", ".join(wrong) or "no"


@words
def interval_overlap(facts: Facts) -> str:
    refused, plain = (
        sum(not said.startswith("ok") for said in by_key(facts[how]).values())
        for how in ("exclusive", "plain")
    )
    return f"{refused} of {len(facts['plain'])}, {plain} without EXCL"
