"""Words for what address translation does, and for services made of it."""

from __future__ import annotations

from matrix.analysis.wording.declare import Facts, by_key, words, yes_no

_PORTS = {"all": "all ports", "first": "first port only"}


@words
def dnat_port_range(facts: Facts) -> str:
    spread = by_key(facts["spread"])["none"]
    return _PORTS.get(spread, spread)


@words
def snat_exhaustion(facts: Facts) -> str:
    return yes_no(facts["fifth_higher"] == "forwarded")


@words
def snat_port_preserve(facts: Facts) -> str:
    return f"{'kept' if facts['kept'] else 'not kept'}, else {facts['clash']}"


@words
def hairpin(facts: Facts) -> str:
    if facts["answer_without"] == "the public address":
        return "yes"
    return "only if masqueraded" if facts["answer_with"] == "the public address" else "no"


@words
def masquerade_address_gone(facts: Facts) -> str:
    address, down = not facts["after_address"], not facts["after_down"]
    return yes_no(address) if address == down else "only without address" if address else "only when down"


@words
def masquerade_route_change(facts: Facts) -> str:
    if facts["next"] == "lost":
        return "lost"
    kept = facts["next"].split()[-1] == facts["before"].split()[-1]
    once = "lost once" if facts["moved"] == "lost" else "moves"
    return f"{once}, {'old' if kept else 'new'} address"


@words
def masqueraded_ping(facts: Facts) -> str:
    if facts["answers"] != ["client", "other client"]:
        return "no"
    return "yes, with the same id" if facts["second"] else "yes, with another id"


@words
def mixed_frontends(facts: Facts) -> str:
    return f"{'accept' if facts['accept_is_final'] else 'drop'} wins, NAT by {facts['nat_both']}"


@words
def deleted_pod(facts: Facts) -> str:
    where = facts["connection"]
    return "sent to the deleted pod" if where == "the deleted" else where


@words
def ipvs_connections(facts: Facts) -> str:
    removed = by_key(facts["removed"])["0"].partition(",")[0]
    seen = "seen" if facts["flows"]["SYNs"] else "unseen"
    return f"{removed}, {seen}, {len(facts['knobs'])} knobs"


@words
def port_shadow(facts: Facts) -> str:
    open_to = {place.split()[0] for place, whom in by_key(facts["reaches"]).items() if whom == "client"}
    return "unless a rule guards it" if open_to == {"none"} else yes_no(open_to)


@words
def tproxy_bare_device(facts: Facts) -> str:
    reaches = by_key(facts["reaches"])
    missed = {place.partition(",")[0] for place, whom in reaches.items() if whom != "listener"}
    return f"no: {', '.join(sorted(missed))}" if missed else "yes"


@words
def vrf_connections(facts: Facts) -> str:
    return "no, the second is lost" if by_key(facts["second"])["none"] == "lost" else "yes"


@words
def flush_during_flow(facts: Facts) -> str:
    return "go on if client is first" if facts["state"] == "NEW" else f"client {facts['state']}"


@words
def flush_dnat(facts: Facts) -> str:
    client, server = (
        facts["client_first"][1] == "the server",
        facts["server_first"][1] == "the service's",
    )
    if client and server:
        return "goes on"
    return "lost if server is first" if client else "lost"


@words
def zones_same_tuple(facts: Facts) -> str:
    return yes_no(len(set(facts["zones"])) == 2)


@words
def zones_nat(facts: Facts) -> str:
    reached = {kind for kind, answer in by_key(facts["answers"]).items() if answer == "reached"}
    return "by original zones only" if reached == {"orig_zone"} else yes_no(reached)


@words
def zones_many(facts: Facts) -> str:
    return yes_no(facts["per_flow"] != "alike" or facts["held"] != "all")


@words
def xfrm_nat(facts: Facts) -> str:
    sent = by_key(facts["sent"])
    if sent["client's policy, masquerade"].startswith("encrypted"):
        return "yes"
    spared = sent["client's policy, spared by rt ipsec"].startswith("encrypted")
    return "only if a rule spares it" if spared else "no"


@words
def path_mtu(facts: Facts) -> str:
    outside = by_key(facts["outside"])
    told = [*facts["link"], *facts["answer"], *facts["tunnel"]]
    told += [told for case, told in outside.items() if case.endswith("again")]
    others = sum(not text.endswith("its own") for text in told)
    at_once = sum(not text.startswith("nobody") for case, text in outside.items() if case.endswith("at once"))
    return f"{f'all but {others}' if others else 'all'}, {at_once} at once"


@words
def published_port(facts: Facts) -> str:
    good = ("the host's", "a connection")
    failed = [origin for origin, answer in by_key(facts["answer"]).items() if answer not in good]
    if not failed:
        return "all"
    return f"all but {failed[0]}" if len(failed) == 1 else f"all but {len(failed)}"


@words
def dns_cache(facts: Facts) -> str:
    return f"crashed: {facts['crashed'].partition(',')[0]}"
