"""Netfilter hooks for lightweight tunnels, a switch of the whole machine."""

from __future__ import annotations

from typing import Annotated

from guest.catalogue import Facts, experiment
from guest.errors import Refused, Unsupported
from guest.lab.lab import Lab
from guest.lab.namespace import Namespace

_KNOB = "net/netfilter/nf_hooks_lwtunnel"


class LwtunnelHooks(Facts):
    """Facts of `lwtunnel-hooks`."""

    own: Annotated[str, "the knob in a namespace of its own: its value, or absent"]
    initial: Annotated[str, "the knob in the initial namespace: its value, or absent"]
    writes: Annotated[list[str], "writing 1 and then 0 in the initial namespace: ok, or the error"]
    unloaded: Annotated[bool, "whether nf_conntrack could be unloaded"]
    own_without: Annotated[str, "the knob in a new namespace while nf_conntrack is not loaded"]
    initial_without: Annotated[str, "the knob in the initial namespace while nf_conntrack is not loaded"]


@experiment(alone="what it switches on stays on until the machine starts anew")
def lwtunnel_hooks(lab: Lab) -> LwtunnelHooks:
    """Can packets of lightweight tunnels be put through netfilter, and does that need conntrack?

    nf_hooks_lwtunnel is read in the cell's own namespace and in the initial one, written in the
    latter, and read once more after nf_conntrack was unloaded with all that uses it. A router for
    SRv6 has no firewall for what the tunnels carry until it is set.
    """
    initial, own = _initial(lab), _own(lab)
    writes = [f"{value}: {lab.root.try_sysctl(_KNOB, value)}" for value in (1, 0)]
    return LwtunnelHooks(
        own=own,
        initial=initial,
        writes=writes,
        unloaded=_unload(lab, "nf_conntrack"),
        own_without=_own(lab.new_namespace()),
        initial_without=_initial(lab),
    )


def _own(place: Namespace) -> str:
    try:
        return place.read_sysctl(_KNOB)
    except Unsupported:
        return "absent"


def _initial(lab: Lab) -> str:
    try:
        return lab.root.read(f"/proc/sys/{_KNOB}").strip()
    except Refused:
        return "absent"


def _unload(lab: Lab, name: str) -> bool:
    """Unloads a module after those that use it; returns whether it is gone."""
    for user in _loaded(lab).get(name, ()):
        _unload(lab, user)
    if name in _loaded(lab):
        try:
            lab.root.rmmod(name)
        except Refused as refusal:
            lab.journal.note(f"{name}: {refusal}")
    return name not in _loaded(lab)


def _loaded(lab: Lab) -> dict[str, list[str]]:
    """The loaded modules, each with those that use it."""
    lines = [line.split() for line in lab.root.read("/proc/modules").splitlines()]
    return {words[0]: [user for user in words[3].split(",") if user not in ("", "-")] for words in lines}
