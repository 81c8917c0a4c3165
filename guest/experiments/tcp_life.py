"""The life of a TCP entry when the two ends and the router disagree: ports that are used again, a
table that is emptied.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Annotated

from guest.catalogue import FAMILIES, Facts, experiment
from guest.lab import sysctls
from guest.lab.lab import Lab
from guest.lab.namespace import Namespace
from guest.lab.packets import endpoint, neighbour, parse
from guest.lab.router import LOST, Peer, Router

_Steps = list[tuple[str, Callable[[], str]]]
_SERVICE = 100


def _steps(lab: Lab, source: str, steps: _Steps) -> list[str]:
    """Runs the steps in order; returns for each the conntrack state of its packet and the entry's
    state after it.
    """
    return [f"{name}: {step()}, {lab.state(source)}" for name, step in steps]


class ReuseWhileClosing(Facts):
    """Facts of `reuse-while-closing`."""

    half_closed: Annotated[
        list[str],
        "per segment, the router having seen the client's FIN only: its conntrack state and the entry's"
        " afterwards",
    ]
    closed: Annotated[
        list[str],
        "the same, the router having seen both FINs and the last ACK, which the server did not get",
    ]


@experiment(variants={"family": FAMILIES})
def reuse_while_closing(lab: Lab) -> ReuseWhileClosing:
    """Can a client use a port again whose former connection the server has not closed yet?

    A SYN comes from a port whose connection the server still has. It answers with a challenge ACK
    (RFC 5961), the client resets at the number acknowledged there, and its next SYN should open the
    connection. Where a firewall drops that reset as INVALID, the client is challenged again and
    again until it gives up.
    """
    router = lab.router()

    def again(port: int, *, closed: bool) -> list[str]:
        client, server = router.handshake(port)
        client.data(100)
        server.ack()
        client.fin()
        if closed:
            server.fin()
            client.ack()
        else:
            server.ack()
        acknowledged, new = client.seq, client.seq + 500_000
        steps: _Steps = [
            ("SYN", partial(client.syn, seq=new)),
            ("challenge ACK", partial(server.ack, ack=acknowledged)),
            ("reset", partial(client.rst, seq=acknowledged)),
            ("SYN again", partial(client.syn, seq=new)),
            ("SYN+ACK", partial(server.send, "SA", seq=700_000, ack=new + 1)),
        ]
        return _steps(lab, client.endpoint, steps)

    return ReuseWhileClosing(half_closed=again(40000, closed=False), closed=again(40001, closed=True))


def _answer(router: Router, server: Peer) -> list[str]:
    """Lets the server send data; returns the conntrack state of its segment, and whose address the
    client sees.
    """
    state = server.data(100)
    names = {
        neighbour(router.server_address, _SERVICE): "the service's",
        router.server_address: "the server's own",
    }
    return [state, names[parse(router.out[0]).src] if router.out else LOST]


class FlushDnat(Facts):
    """Facts of `flush-dnat`."""

    client_first: Annotated[
        list[str],
        "the client speaks first: conntrack state of its segment, whom it reaches, conntrack state of the"
        " server's, source address the client sees",
    ]
    server_first: Annotated[
        list[str], "the server speaks first: conntrack state of its segment, source address the client sees"
    ]
    then_client: Annotated[
        list[str],
        "conntrack state of the client's segment after that, of the server's next, source address the"
        " client sees",
    ]
    flows: Annotated[int, "entries at the end, where the server had spoken first"]


@experiment(variants={"family": FAMILIES, "loose": ("0", "1")})
def flush_dnat(lab: Lab) -> FlushDnat:
    """What becomes of a connection through DNAT when the table is flushed and the server speaks
    first?

    A TCP connection to the service 10.0.2.100 (2001:db8:2::100) on the server 10.0.2.2 (::2) is
    established, then the table is emptied: by `conntrack -F`, or by a failover to a router without
    the state. The side that sends first decides from which address the client is answered. `loose`
    is nf_conntrack_tcp_loose; with 0 nothing in the middle of a connection makes an entry.
    """
    mine, theirs = lab.client, lab.server
    service = neighbour(theirs, _SERVICE)

    def flushed() -> tuple[Namespace, Router, Peer, Peer]:
        place = lab.new_namespace()
        router = place.router()
        place.chain("prerouting nat", f"{lab.ip} daddr {service} dnat to {theirs}")
        client, server = router.tcp_between(endpoint(mine, 40000), endpoint(service, 80))
        server.endpoint = endpoint(theirs, 80)
        client.syn()
        server.synack()
        client.ack()
        place.conntrack.flush()
        place.sysctl(sysctls.TCP_LOOSE, lab.variant["loose"])
        return place, router, client, server

    _, router, client, server = flushed()
    client_first = [client.data(100)]
    reached = {theirs: "the server", service: "the service's address, where nobody is"}
    client_first.append(reached[parse(router.out[0]).dst] if router.out else LOST)
    client_first += _answer(router, server)
    place, router, client, server = flushed()
    return FlushDnat(
        client_first=client_first,
        server_first=_answer(router, server),
        then_client=[client.data(100), *_answer(router, server)],
        flows=len(place.flows()),
    )


@flush_dnat.invariant("a client that speaks first restores the translation", when={"loose": "1"})
def _(facts: FlushDnat) -> bool:
    return facts.client_first == ["NEW", "the server", "ESTABLISHED", "the service's"]
