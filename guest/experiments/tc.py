"""tc: connection tracking as an action of traffic control, beside netfilter's own."""

from __future__ import annotations

import json
import re
import subprocess
from typing import Annotated

from guest.catalogue import Facts, experiment
from guest.lab.lab import Lab
from guest.lab.namespace import Namespace
from guest.lab.packets import tcp
from guest.lab.rules import tool

_FLOWER = "protocol ip flower ip_proto tcp"
_QDISCS = """
    qdisc add dev tun0 root handle 1: htb default 1
    class add dev tun0 parent 1: classid 1:1 htb rate 1gbit
    qdisc add dev tun1 clsact
    qdisc add dev plain ingress
    qdisc add dev blocked ingress_block 7 ingress
"""
_SHARED = "qdisc add dev shared ingress_block 8 egress_block 8 clsact"
_PLACES = {
    "htb root": "dev tun0 parent 1:",
    "clsact ingress": "dev tun1 ingress",
    "clsact egress": "dev tun1 egress",
    "ingress": "dev plain ingress",
    "ingress block": "block 7",
    "shared block": "block 8",
}
_OPTIONS = ("", "commit", "clear", "nat", "commit nat src addr 10.0.2.9", "commit mark 7", "commit label 1",
            "commit zone 5")  # fmt: skip
_STATES = ("+trk+new", "+trk+est-rpl", "+trk+est+rpl", "+trk+inv")


class TcCt(Facts):
    """Facts of `tc-ct`."""

    taken: Annotated[
        dict[str, int],
        "per place `action ct`, and per option of it at clsact ingress: 1 if the kernel takes it",
    ]
    words: Annotated[list[str], "what tc prints about those that it does not take"]
    states: Annotated[
        list[str], "what flower's ct_state says of a SYN, its answer, data, and a stray segment"
    ]
    flow: Annotated[str, "the entry in conntrack's table afterwards: its state, offloaded, or gone"]
    netfilter: Annotated[list[str], "conntrack state of these packets in netfilter's FORWARD"]


@experiment(variants={"zone": ("0", "5")}, modules=("act_ct", "cls_flower", "sch_htb", "sch_ingress"))
def tc_ct(lab: Lab) -> TcCt:
    """Where does tc take `action ct`, what does flower then see, and does netfilter see the same
    entry?

    `flower ip_proto tcp action ct` on an htb root, on clsact ingress and egress, on an ingress
    qdisc, on a block of it, and on a block that ingress and egress share. Then, on the ingress of
    both sides of a router, each packet is tracked in a zone, matched by its ct_state and, if new,
    committed; a rule of netfilter tracks in the zone 0. Hosts that offload their bridges' rules to
    network cards track in this way.
    """
    place = lab.new_namespace()
    place.router(states=False)
    for name in ("plain", "blocked", "shared"):
        place.links.add(name, "dummy")
    with place.inside():
        tool("tc", "-batch", "-", text=_QDISCS)
    block = _tc(place, _SHARED)
    asked = {name: f"filter add {where} {_FLOWER} action ct" for name, where in _PLACES.items()}
    asked |= {
        f"ct {option}".strip(): f"filter add {_PLACES['clsact ingress']} {_FLOWER} action ct {option} pipe"
        for option in _OPTIONS[1:]
    }
    said = {name: _tc(place, line) for name, line in asked.items()}
    if block:
        said["shared block"] = f"no such block: {block}"
    states, netfilter, flow = _packets(lab)
    return TcCt(
        taken={name: int(not words) for name, words in said.items()},
        words=[f"{name}: {words}" for name, words in said.items() if words],
        states=states,
        flow=flow,
        netfilter=netfilter,
    )


def _tc(place: Namespace, lines: str) -> str:
    """Runs lines of tc; returns the kernel's words about the first that it does not take."""
    with place.inside():
        done = subprocess.run(("tc", "-batch", "-"), input=lines, capture_output=True, text=True, check=False)
    said = [line for line in done.stderr.splitlines() if line and not line.startswith("Command failed")]
    return re.sub(r"^(Error|RTNETLINK answers): ", "", said[0]) if done.returncode else ""


def _packets(lab: Lab) -> tuple[list[str], list[str], str]:
    place = lab.new_namespace()
    router = place.router()
    zone = lab.variant["zone"]
    lines = []
    for device in ("tun0", "tun1"):
        add = f"filter add dev {device} ingress protocol ip"
        lines += [
            f"qdisc add dev {device} clsact",
            f"{add} prio 1 chain 0 flower ip_proto tcp action ct zone {zone} pipe action goto chain 1",
        ]
        for number, state in enumerate(_STATES, 1):
            action = f"action ct commit zone {zone}" if "new" in state else "action ok"
            lines.append(f"{add} prio {number} chain 1 flower ip_proto tcp ct_state {state} {action}")
    words = _tc(place, "\n".join(lines))
    if words:
        return [words], [], "not asked"
    client, server = "10.0.1.2:40000", "10.0.2.2:80"
    packets = (
        (router.client, tcp(client, server)),
        (router.server, tcp(server, client, "SA", seq=5000, ack=1001)),
        (router.client, tcp(client, server, "A", seq=1001, ack=5001)),
        (router.client, tcp(client, server, "PA", seq=1001, ack=5001, data=b"data")),
        (router.client, tcp("10.0.1.2:40001", server, "R", seq=9, ack=9)),
    )
    states, netfilter = [], []
    before = _matched(place)
    for side, packet in packets:
        seen = (router.from_client if side is router.client else router.from_server)(packet)
        now = _matched(place)
        states.append(" ".join(name for name in _STATES if now[name] > before[name]) or "none")
        netfilter.append(seen)
        before = now
    flow = place.flow(client)
    return states, netfilter, "offloaded" if "OFFLOAD" in flow.status else flow.state


def _matched(place: Namespace) -> dict[str, int]:
    """Per ct_state: packets that the filters of both devices have seen."""
    shows = "".join(f"filter show dev {device} ingress\n" for device in ("tun0", "tun1"))
    with place.inside():
        listed = tool("tc", "-s", "-j", "-batch", "-", text=shows)
    found = dict.fromkeys(_STATES, 0)
    for entry in [entry for line in listed.splitlines() if line for entry in json.loads(line)]:
        actions = entry.get("options", {}).get("actions")
        if entry.get("chain") == 1 and actions:
            found[_STATES[entry["pref"] - 1]] += actions[0]["stats"]["packets"]
    return found
