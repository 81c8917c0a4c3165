"""When tracking ends."""

from __future__ import annotations

from collections.abc import Callable

from guest.catalogue import Fact, FactDict, Invariant, experiment
from guest.lab.lab import Lab
from guest.lab.packets import udp


@experiment(
    facts=[
        Fact("tracked", int, "flows while there is a rule that refers to connection tracking"),
        Fact(
            "off",
            str,
            "whether new flows are still tracked after it is deleted: at once not, within 3 s not, or still",
        ),
        Fact("kept", bool, "whether the flow from before is still in the table then"),
        Fact("again", int, "new flows tracked once the rule is back"),
    ],
    invariants=[
        Invariant(
            "with a rule flows are tracked, with the rule back again",
            lambda facts, variant: facts["tracked"] == facts["again"] == 1,
        )
    ],
    variants={"frontend": ("legacy", "native")},
)
def tracking_off(lab: Lab) -> FactDict:
    """Does connection tracking end when the last rule that refers to it is deleted?

    A rule in PREROUTING, one datagram; the rule is deleted, and datagrams from further ports are
    sent until one is not tracked, for 3 s at most; then the rule is added again. Only the count is
    read: a listing would evict.
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
    facts: FactDict = {"tracked": new_flow(10000)}
    delete()
    ports = iter(range(10001, 20000))
    at_once = new_flow(next(ports)) == 0
    later = at_once or lab.until("a datagram that is not tracked", lambda: new_flow(next(ports)) == 0, 3)
    facts["off"] = "at once" if at_once else "within 3 s" if later else "still tracked"
    facts["kept"] = lab.conntrack.count() > 0
    add()
    return facts | {"again": new_flow(9999)}
