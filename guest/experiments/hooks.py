"""Chains and flowtables that belong to a device: what becomes of them when it goes and comes."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from typing import Annotated

from guest.catalogue import Facts, experiment
from guest.lab import nftables
from guest.lab.lab import Lab
from guest.lab.namespace import Namespace
from guest.lab.packets import udp
from guest.lab.rules import tool
from guest.lab.tun import Tun

_NAME = "port1"
_GONE = "gone"


class HooksByName(Facts):
    """Facts of `hooks-by-name`."""

    after_removal: Annotated[
        list[str], "once the device is gone: what is left of the chain, of its rules, of the flowtable"
    ]
    dropped_again: Annotated[bool, "whether the chain drops again once there is a device of that name again"]
    renamed: Annotated[
        str, "whether the chain drops on the device when it has another name: follows it, or does not"
    ]
    created: Annotated[list[str], "per thing made for a device that is not there: ok, or nft's words"]
    late: Annotated[str, "whether a chain made for a missing device drops once it is there"]


@experiment(variants={"hook": ("ingress", "egress"), "devices": ("one", "two")})
def hooks_by_name(lab: Lab) -> HooksByName:
    """Do chains and flowtables outlive their device, and take one that is not there yet?

    A netdev chain drops datagrams to port 53 on the device port1 (alone, or with a second device
    that stays), and a flowtable names it too. The device goes, comes again under its name, and is
    renamed. Then both are made for a device that does not exist, and for `port*`. Dial-up lines,
    containers and hot-plugged interfaces come and go like that, and firewalls must be loaded
    before.
    """
    place = lab.new_namespace()
    devices = _names(place)
    wire = _device(place, _NAME)
    place.nft(_script(lab, devices))
    if not _drops(place, wire):
        raise RuntimeError("the chain does not drop on a device that is there")
    wire.close()
    after = [_left(place, "chain"), _left(place, "rule"), _left(place, "flowtable")]
    wire = _device(place, _NAME)
    again = _drops(place, wire)
    return HooksByName(
        after_removal=after,
        dropped_again=again,
        renamed=_renamed(lab),
        created=[f"{name}: {_created(lab, name, device)}" for name, device in _MISSING.items()],
        late=_late(lab),
    )


_MISSING = {"chain": _NAME, "flowtable": _NAME, "chain for port*": "port*", "flowtable for port*": "port*"}


def _names(place: Namespace, name: str = _NAME) -> list[str]:
    """The device alone, or with a second one, which is made here and stays."""
    if place.variant["devices"] == "one":
        return [name]
    place.links.add("stays", "dummy")
    place.links.up("stays")
    return [name, "stays"]


def _device(place: Namespace, name: str) -> Tun:
    wire = place.device(name)
    place.sysctl(f"net/ipv6/conf/{name}/disable_ipv6", 1)
    place.links.address(name, "10.0.1.1/24")
    place.links.up(name)
    return wire


def _chain(hook: str, devices: list[str]) -> str:
    quoted = ", ".join(f'"{name}"' for name in devices)
    named = f"device {quoted}" if len(devices) == 1 else f"devices = {{ {quoted} }}"
    return f"chain c {{ type filter hook {hook} {named} priority 0; udp dport 53 counter drop; }}"


def _script(lab: Lab, devices: list[str]) -> str:
    quoted = ", ".join(f'"{name}"' for name in devices)
    return (
        f"table netdev t {{ {_chain(lab.variant['hook'], devices)}; }}\n"
        f"table ip f {{ flowtable f {{ hook ingress priority 0; devices = {{ {quoted} }}; }}; }}\n"
    )


def _passes(place: Namespace, wire: Tun) -> dict[str, Callable[[], bool]]:
    """Per hook: sends a datagram by the device, and whether it is through."""

    def ingress() -> bool:
        with place.inside(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as own:
            own.bind(("10.0.1.1", 53))
            wire.send(udp("10.0.1.2:40000", "10.0.1.1:53"))
            try:
                return bool(own.recv(100))
            except BlockingIOError:
                return False

    def egress() -> bool:
        wire.read()
        with place.inside(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as own:
            own.sendto(b"data", ("10.0.1.2", 53))
        return bool(wire.read())

    return {"ingress": ingress, "egress": egress}


def _drops(place: Namespace, wire: Tun) -> bool:
    return not _passes(place, wire)[place.variant["hook"]]()


def _left(place: Namespace, kind: str) -> str:
    """What the listing says of the chain, its rules or the flowtable: their number, or devices."""
    with place.inside():
        listed = json.loads(nftables.run("list ruleset", json=True))["nftables"]
    found = [entry[kind] for entry in listed if kind in entry]
    if kind == "rule":
        return f"{len(found)} rules"
    if not found:
        return f"{kind} {_GONE}"
    devices = found[0].get("dev", [])
    return f"{kind} of {' '.join([devices] if isinstance(devices, str) else devices) or 'no device'}"


def _renamed(lab: Lab) -> str:
    place = lab.new_namespace()
    devices = _names(place)
    wire = _device(place, _NAME)
    place.nft(f"table netdev t {{ {_chain(lab.variant['hook'], devices)}; }}")
    with place.inside():
        tool(
            "ip",
            "-batch",
            "-",
            text=f"link set {_NAME} down\nlink set {_NAME} name other\nlink set other up\n",
        )
    return "follows it" if _drops(place, wire) else "does not"


def _created(lab: Lab, name: str, device: str) -> str:
    place = lab.new_namespace()
    chain, flowtable = _script(lab, _names(place, device)).splitlines()
    with place.inside():
        _, error = nftables.attempt(flowtable if name.startswith("flowtable") else chain)
    return error or "ok"


def _late(lab: Lab) -> str:
    place = lab.new_namespace()
    chain, _ = _script(lab, _names(place)).splitlines()
    with place.inside():
        _, error = nftables.attempt(chain)
    if error:
        return "could not be made"
    return "drops" if _drops(place, _device(place, _NAME)) else "passes"
