"""Rules of iptables and of nft side by side."""

from __future__ import annotations

from guest.catalogue import IPTABLES, Fact, FactDict, Invariant, experiment
from guest.lab.lab import Lab
from guest.lab.packets import tcp


@experiment(
    facts=[
        Fact(
            "iptables_sees",
            int,
            "packets that an iptables rule counts while nft drops them at an earlier priority",
        ),
        Fact("nft_sees", int, "packets that an nft rule counts after iptables accepted them"),
        Fact(
            "accept_is_final",
            bool,
            "whether a packet that iptables accepts can still be dropped by a later nft chain",
        ),
        Fact("nat_both", str, "which frontend's DNAT wins when both translate: iptables, nft, or neither"),
    ],
    variants={"frontend": IPTABLES},
    invariants=[
        Invariant(
            "accepting in one chain does not end the walk",
            lambda facts, variant: not facts["accept_is_final"],
        )
    ],
)
def mixed_frontends(lab: Lab) -> FactDict:
    """What happens when rules of iptables and of nft are loaded at once?

    Three steps in FORWARD and PREROUTING: nft drops before iptables counts; iptables accepts, then
    nft counts and drops; both translate the destination at the same priority, iptables' rule loaded
    first.
    """
    place = lab.new_namespace()
    router = place.router()
    place.chain("forward -10", "tcp dport 81 drop")
    place.iptables(
        "*filter\n-A FORWARD -p tcp --dport 81 -m comment --comment late -j ACCEPT\n-A FORWARD -p tcp --dport"
        " 82 -j ACCEPT"
    )
    place.chain("forward 10", 'tcp dport 82 counter drop comment "nft"')
    router.from_client(tcp("10.0.1.2:5000", "10.0.2.2:81"))
    state = router.from_client(tcp("10.0.1.2:5000", "10.0.2.2:82"))
    counters = place.counters()
    facts: FactDict = {
        "iptables_sees": counters.packets("late"),
        "nft_sees": counters.packets("nft"),
        "accept_is_final": state != "lost",
    }
    place = lab.new_namespace()
    router = place.router()
    place.iptables("*nat\n-A PREROUTING -p tcp --dport 80 -j DNAT --to-destination 10.0.2.3")
    place.chain("prerouting nat", "tcp dport 80 dnat to 10.0.2.4")
    router.from_client(tcp("10.0.1.2:5000", "10.0.2.2:80"))
    winner = {bytes([10, 0, 2, 3]): "iptables", bytes([10, 0, 2, 4]): "nft"}
    return facts | {"nat_both": winner.get(router.out[0][16:20], "neither") if router.out else "neither"}
