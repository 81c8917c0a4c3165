"""When tracking begins and ends."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from guest.catalogue import FAMILIES, FRONTENDS, Facts, experiment
from guest.lab.lab import Lab
from guest.lab.packets import endpoint, udp


class TrackingOff(Facts):
    """Facts of `tracking-off`."""

    tracked: Annotated[int, "flows while there is a rule that refers to connection tracking"]
    off: Annotated[
        str,
        "when the first new flow is not tracked after it is deleted: within 3 s, or later",
    ]
    kept: Annotated[bool, "whether the flow from before is still in the table then"]
    again: Annotated[int, "new flows tracked once the rule is back"]


@experiment(variants={"frontend": FRONTENDS, "cpus": ("1", "2")})
def tracking_off(lab: Lab) -> TrackingOff:
    """Does connection tracking end when the last rule that refers to it is deleted?

    A rule in PREROUTING, one datagram; the rule is deleted, and datagrams from further ports are
    sent, at once and then every 50 ms, until one is not tracked; then the rule is added again. The
    kernel may take a rule apart only after every processor has been seen idle; at which look it is
    over is in notes.txt. Only the count is read: a listing would evict.
    """
    rule = ("-t", "mangle", "{}", "PREROUTING", "-m", "conntrack", "--ctstate", "NEW")

    def add() -> Callable[[], object]:
        """Adds the rule; returns what deletes it again."""
        if lab.frontend == "native":
            return lab.chain("prerouting mangle", "ct state new").delete
        lab.iptables_command(*(word.format("-A") for word in rule))
        return lambda: lab.iptables_command(*(word.format("-D") for word in rule))

    def new_flow(port: int) -> int:
        before = lab.conntrack.count()
        wire.send(udp(f"198.18.0.2:{port}", "192.0.2.1:53"))
        return lab.conntrack.count() - before

    delete = add()
    wire = lab.host()
    tracked = new_flow(10000)
    delete()
    ports = iter(range(10001, 20000))
    when = lab.when("a datagram that is not tracked", lambda: new_flow(next(ports)) == 0)
    kept = lab.conntrack.count() > 0
    add()
    return TrackingOff(
        tracked=tracked, off="later" if when == "later" else "within 3 s", kept=kept, again=new_flow(9999)
    )


@tracking_off.invariant("with a rule flows are tracked, with the rule back again")
def _(facts: TrackingOff) -> bool:
    return facts.tracked == facts.again == 1


class EmptyNatChain(Facts):
    """Facts of `empty-nat-chain`."""

    empty: Annotated[int, "flows after one packet through nat chains at all four hooks, without any rule"]
    counted: Annotated[int, "flows once one of them holds a rule that only counts"]
    translating: Annotated[int, "flows once it holds a rule that translates other packets"]


@experiment(variants={"family": FAMILIES})
def empty_nat_chain(lab: Lab) -> EmptyNatChain:
    """Does a nat chain without any rule switch connection tracking on?

    nft's base chains of type nat at prerouting, input, output and postrouting, as a rule set that
    only prepares for NAT has them; then a rule is put into that at postrouting: one that counts,
    then one that masquerades packets to another port. Before each packet of a new flow the table is
    empty.
    """
    router = lab.router(states=False)
    chains = [lab.chain(f"{hook} nat") for hook in ("prerouting", "input", "output", "postrouting")]

    def flows(*rules: str) -> int:
        if rules:
            chains[-1].replace(*rules)
        lab.conntrack.flush()
        router.from_client(udp(endpoint(lab.client, 40000), endpoint(lab.server, 53)))
        return len(lab.flows())

    return EmptyNatChain(
        empty=flows(),
        counted=flows("counter"),
        translating=flows("udp dport 54 masquerade"),
    )


@empty_nat_chain.invariant("a rule that translates switches it on")
def _(facts: EmptyNatChain) -> bool:
    return facts.translating == 1
