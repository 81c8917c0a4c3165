"""Labels of connections: what programs set over ctnetlink, and which rules see it."""

from __future__ import annotations

from typing import Annotated

from guest.catalogue import Facts, experiment
from guest.lab.lab import Lab
from guest.lab.namespace import Namespace
from guest.lab.packets import tcp
from guest.linux import errno_name
from guest.netlink import attribute
from guest.observe.ctnetlink import LABELS, NEW, TUPLE_ORIG, Flow, pack_tuple

_LABEL = 3
_MASK = 23  # CTA_LABELS_MASK
_BYTES = 16
_RULES = ("none", "match", "removed", "connlabel")
_FLOWS = {"older": 40000, "newer": 40001}


class LabelMatch(Facts):
    """Facts of `label-match`."""

    set: Annotated[
        list[str], "per rule, and per flow older or newer than it: what the kernel says to label 3"
    ]
    masked: Annotated[list[str], "the same for label 3 with a mask that covers it alone"]
    labels: Annotated[list[str], "bits of the entry's labels afterwards"]
    matched: Annotated[dict[str, int], "per rule: packets of the two flows that it counts then"]


@experiment(modules=("nf_conntrack_netlink",))
def label_match(lab: Lab) -> LabelMatch:
    """Can a program label a connection over ctnetlink when no rule sets labels?

    Label 3 is set on an entry that is older than the rule and on a newer one; then each flow sends
    a packet. Rules: none, nft's `ct label 3 counter`, the same removed again, iptables' connlabel.
    conntrackd and Open vSwitch set labels in this way, and rules only read them.
    """
    answers: dict[str, list[str]] = {"set": [], "masked": [], "labels": []}
    matched = {}
    for rule in _RULES:
        place = lab.new_namespace()
        router = place.router(states=False)
        place.track()
        for name, port in _FLOWS.items():
            if name == "newer":
                _add(place, rule)
            router.from_client(tcp(f"10.0.1.2:{port}", "10.0.2.2:80"))
        for name, port in _FLOWS.items():
            source = f"10.0.1.2:{port}"
            for fact, mask in (("set", b""), ("masked", _bit())):
                answers[fact].append(f"{rule} {name}: {_label(place, place.flow(source), mask)}")
            answers["labels"].append(f"{rule} {name}: {place.flow(source).labels:#b}")
            router.from_client(tcp(source, "10.0.2.2:80"))
        matched[rule] = place.counters().packets("labelled") if rule in ("match", "connlabel") else 0
    return LabelMatch(**answers, matched=matched)


def _add(place: Namespace, rule: str) -> None:
    if rule == "connlabel":
        place.iptables("*filter\n-A FORWARD -m connlabel --label 3 -m comment --comment labelled")
    elif rule != "none":
        chain = place.chain("forward filter", f'ct label {_LABEL} counter comment "labelled"')
        if rule == "removed":
            chain.delete()


def _bit() -> bytes:
    return (1 << _LABEL).to_bytes(_BYTES, "little")


def _label(place: Namespace, flow: Flow, mask: bytes) -> str:
    """What the kernel says when the label is set on a flow: ok or an errno."""
    body = [pack_tuple(TUPLE_ORIG, flow.orig), attribute(LABELS, _bit())]
    try:
        place.conntrack.request(NEW, *body, *([attribute(_MASK, mask)] if mask else []), family=2)
    except OSError as error:
        return errno_name(error)
    return "ok"
