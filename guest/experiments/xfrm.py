"""IPsec policies and translation: what is encrypted, and which hooks see it."""

from __future__ import annotations

import struct
from typing import Annotated

from guest.catalogue import Facts, experiment
from guest.lab.lab import Lab
from guest.lab.namespace import Namespace
from guest.lab.packets import parse, protocol, udp
from guest.lab.router import LOST, Router
from guest.lab.rules import tool

_CLIENT, _FAR, _OWN, _PEER = "10.0.1.2", "10.9.0.2", "10.0.2.1", "10.0.2.2"
_OUT, _IN = 0x100, 0x200
_NULL = 'enc "ecb(cipher_null)" "" auth "digest_null" ""'
_ESP = 50
_POLICIES = {"client's": "10.0.1.0/24", "router's": f"{_OWN}/32"}
_MASQUERADE = 'oifname "tun1" masquerade'
_RULES = {
    "none": (),
    "masquerade": (_MASQUERADE,),
    "spared by rt ipsec": ("rt ipsec exists accept", _MASQUERADE),
    "spared by ipsec out": ("ipsec out reqid 1 accept", _MASQUERADE),
}
_HOOKS = ("prerouting", "input", "forward", "output", "postrouting")


class XfrmNat(Facts):
    """Facts of `xfrm-nat`."""

    sent: Annotated[
        list[str],
        "per policy (for the client's network, or for the router's own address) and rules: whether the"
        " client's datagram leaves encrypted or clear, and whose address it has then",
    ]
    hooks: Annotated[
        dict[str, int], "per hook: packets with the datagram, clear or encrypted, on its way out"
    ]
    answer: Annotated[
        list[str], "the encrypted answer: whom it reaches, and its conntrack state behind decryption"
    ]
    seen: Annotated[dict[str, int], "per hook: packets with that answer, encrypted or clear"]
    flows: Annotated[list[str], "flows in the table afterwards: protocol and whether answered"]


@experiment(modules=("esp4", "xfrm_user"))
def xfrm_nat(lab: Lab) -> XfrmNat:
    """Is what a router masquerades still encrypted, and which hooks see it clear and encrypted?

    A client's datagram to a far network for which an IPsec policy (ESP in tunnel mode, without
    encryption, so that it can be read) wants a tunnel: a policy for the client's network, or for
    the address that masquerading gives; without rules, masqueraded, and with a rule before that
    spares what will be encrypted. What leaves in clear is a leak. Then the answer comes in the
    tunnel, and rules count both at each hook.
    """
    sent = [
        f"{name} policy, {rules}: {_sent(lab.new_namespace(), network, rules)}"
        for name, network in _POLICIES.items()
        for rules in _RULES
    ]
    place = lab.new_namespace()
    router = _gateway(place, _POLICIES["client's"])
    for hook in _HOOKS:
        place.chain(
            f"{hook} 10", *(f'{match} counter comment "{hook} {name}"' for name, match in _FORMS.items())
        )
    router.from_client(udp(f"{_CLIENT}:40000", f"{_FAR}:53"))
    hooks = _counted(place, {})
    state = router.from_server(
        protocol(_PEER, _OWN, _ESP, _encrypted(bytes(udp(f"{_FAR}:53", f"{_CLIENT}:40000"))))
    )
    reached = "client" if any(parse(data).src == _FAR for data in router.out) else LOST
    return XfrmNat(
        sent=sent,
        hooks=hooks,
        answer=[reached, state],
        seen=_counted(place, hooks),
        flows=sorted(
            f"{flow.orig.protocol} {'answered' if 'SEEN_REPLY' in flow.status else 'unanswered'}"
            for flow in place.flows()
        ),
    )


_FORMS = {"clear": "udp sport { 53, 40000 }", "encrypted": "ip protocol esp"}


def _gateway(place: Namespace, network: str) -> Router:
    """A router whose datagrams from a network to the far one go through a tunnel to the server."""
    router = place.router()
    lines = [
        f"xfrm state add src {_OWN} dst {_PEER} proto esp spi {_OUT} reqid 1 mode tunnel {_NULL}",
        f"xfrm state add src {_PEER} dst {_OWN} proto esp spi {_IN} reqid 2 mode tunnel {_NULL}",
        f"xfrm policy add src {network} dst {_FAR}/32 dir out"
        f" tmpl src {_OWN} dst {_PEER} proto esp reqid 1 mode tunnel",
        f"xfrm policy add src {_FAR}/32 dst {network} dir fwd"
        f" tmpl src {_PEER} dst {_OWN} proto esp reqid 2 mode tunnel",
        f"route add {_FAR} via {_PEER}",
    ]
    with place.inside():
        tool("ip", "-4", "-batch", "-", text="".join(f"{line}\n" for line in lines))
    return router


def _sent(place: Namespace, network: str, rules: str) -> str:
    router = _gateway(place, network)
    if _RULES[rules]:
        place.chain("postrouting nat", *_RULES[rules])
    router.from_client(udp(f"{_CLIENT}:40000", f"{_FAR}:53"))
    if not router.out:
        return LOST
    names = {_CLIENT: "client's", _OWN: "router's"}
    packet = router.out[0]
    if packet[9] != _ESP:
        return f"clear, {names.get(parse(packet).src)}"
    return f"encrypted, {names.get(parse(packet[28:]).src)}"


def _encrypted(packet: bytes) -> bytes:
    """A packet as ESP carries it that is not encrypted: padded to words, with what follows."""
    padding = -(len(packet) + 2) % 4
    return struct.pack(">II", _IN, 1) + packet + bytes(range(1, padding + 1)) + bytes([padding, 4])


def _counted(place: Namespace, before: dict[str, int]) -> dict[str, int]:
    counters = place.counters()
    return {
        f"{hook} {name}": counters.packets(f"{hook} {name}") - before.get(f"{hook} {name}", 0)
        for hook in _HOOKS
        for name in _FORMS
    }
