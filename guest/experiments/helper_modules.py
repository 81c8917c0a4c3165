"""The modules of the helpers: what the kernel says when they are loaded."""

from __future__ import annotations

import re
from typing import Annotated

from guest.catalogue import Facts, experiment
from guest.errors import Refused
from guest.lab.lab import Lab

_HELPERS = ("amanda", "ftp", "h323", "irc", "netbios_ns", "pptp", "sane", "sip", "snmp", "tftp")
_WITH_PORTS = ("ftp", "irc", "sane", "sip", "tftp")


class HelperModules(Facts):
    """Facts of `helper-modules`."""

    loaded: Annotated[list[str], "per helper: loaded, or why not"]
    logged: Annotated[list[str], "per helper: what the kernel logs then, if anything"]
    ports_logged: Annotated[list[str], "per helper that watched ports: what it logs when ports= is given"]


@experiment(seconds=120)
def helper_modules(lab: Lab) -> HelperModules:
    """Which helpers does the kernel have, and does it say that their options are without effect?

    Each module nf_conntrack_NAME is loaded; those that took `ports` are then unloaded, and loaded
    once more with a port of their own.
    """
    loaded, logged, ports_logged = [], [], []
    for port, name in enumerate(_HELPERS, start=2121):
        state, words = _load(lab, name)
        loaded.append(f"{name}: {state}")
        logged += [f"{name}: {word}" for word in words]
        if name in _WITH_PORTS and state == "loaded":
            lab.root.rmmod(f"nf_conntrack_{name}")
            state, words = _load(lab, name, f"ports={port}")
            ports_logged.append(f"{name}: {state}, {' / '.join(words) or 'nothing logged'}")
    return HelperModules(loaded=loaded, logged=logged, ports_logged=ports_logged)


def _load(lab: Lab, name: str, *parameters: str) -> tuple[str, list[str]]:
    """Whether a helper's module could be loaded, and what the kernel logged, numbers replaced by
    N.
    """
    before = len(lab.root.dmesg())
    try:
        lab.root.modprobe(f"nf_conntrack_{name}", *parameters)
        state = "loaded"
    except Refused as refusal:
        state = "absent" if "not found" in str(refusal) else str(refusal)
    lines = [line.replace("\\x0a", " ") for line in lab.root.dmesg()[before:]]
    return state, [re.sub(r"\d+", "N", line) for line in lines]
