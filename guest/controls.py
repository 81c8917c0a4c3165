"""Controls: what an experiment is asked under, to see that its facts can differ.

Each takes away, or breaks, something that any experiment may rest on. The lab does it by the
parameter `control` of a variant, which no experiment declares; the host plans such cells.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

PARAMETER, UNDISTURBED = "control", "none"
"""The parameter of a variant that names its control, and the control that does nothing."""

Wire = Callable[[bytes], list[bytes]]
"""What becomes of a packet on its way to the kernel, or from it: all that arrives then."""


class Settings(StrEnum):
    """What becomes of the sysctls that an experiment sets, but for those of addresses and routes:
    they are set, left as they are, or left and refused to an experiment that tries to set one.
    """

    SET = "set"
    LEFT = "left"
    REFUSED = "refused"

    def spare(self, name: str) -> bool:
        """Whether the sysctl of this name is left as it is."""
        return self is not Settings.SET and not name.startswith(("net/ipv4/", "net/ipv6/"))

    def refuse(self, name: str) -> bool:
        """Whether the sysctl of this name is to be refused by the kernel."""
        return self is Settings.REFUSED and self.spare(name)


def _always(_turn: int) -> bool:
    return True


@dataclass(frozen=True)
class Control:
    """What is different under a control."""

    meaning: str
    rules: str = ""
    """A script of nft's that is loaded into each namespace before anything else."""
    loads: Callable[[int], bool] = _always
    """Whether a rule of the experiment's is loaded, by how many it had before in the namespace."""
    settings: Settings = Settings.SET
    before: Callable[[str, str], Sequence[str]] | None = None
    """To which values a sysctl of netfilter is set first, one after the other as far as the kernel
    takes them, by its name and value.
    """
    wire: Callable[[], Wire] | None = None
    """Makes what becomes of the packets that are sent by a tun."""
    back: Callable[[], Wire] | None = None
    """Makes what becomes of the packets that the kernel sends by it."""
    flushes: bool = False
    """Whether the table is emptied after each packet."""
    waits: bool = True
    """Whether time passes where the experiment waits."""
    powers: bool = True
    """Whether flows are made, changed and deleted as by root, not as by a user who may not."""
    machine: Mapping[str, str] = field(default_factory=dict)
    """Sysctls of the whole machine."""
    parameters: Mapping[str, str] = field(default_factory=dict)
    """Other parameters of the variant."""


def _hooks(statement: str, *places: str) -> str:
    """A table with a chain of one statement at each place, a hook and a priority."""
    chains = "\n".join(
        f"chain {hook} {{ type filter hook {hook} priority {priority}; {statement}; }}"
        for hook, priority in (place.split() for place in places)
    )
    return f"table inet control {{\n{chains}\n}}\n"


def _damaged(data: bytes) -> list[bytes]:
    return [data[:-1] + bytes([data[-1] ^ 1])]


def _every_second() -> Wire:
    seen: list[None] = []

    def hand(data: bytes) -> list[bytes]:
        seen.append(None)
        return [data] if len(seen) % 2 else []

    return hand


def _late() -> Wire:
    held: list[bytes] = []

    def hand(data: bytes) -> list[bytes]:
        held.append(data)
        return [held.pop(0)] if len(held) > 1 else []

    return hand


def _switched(_name: str, value: str) -> Sequence[str]:
    return {"0": ["1", "255"], "1": ["0"]}.get(value, [])


_TRANSLATED = """
table inet control {
chain postrouting { type nat hook postrouting priority 90; snat ip to 10.9.9.9; snat ip6 to 2001:db8:99::9; }
}
"""

CONTROLS: Mapping[str, Control] = {
    UNDISTURBED: Control("as published"),
    "untracked": Control(
        "every packet is exempt from connection tracking",
        rules=_hooks("notrack", "prerouting -390", "output -390"),
    ),
    "lost": Control("every packet is dropped where it comes in", rules=_hooks("drop", "prerouting -500")),
    "no-rules": Control("the experiment's rules are not loaded", loads=lambda turn: False),
    "no-first-rule": Control(
        "the first of the experiment's rules is not loaded", loads=lambda turn: turn > 0
    ),
    "only-first-rule": Control("no other of the experiment's rules is loaded", loads=lambda turn: turn == 0),
    "no-settings": Control(
        "no sysctl is set of which the experiment takes no refusal", settings=Settings.LEFT
    ),
    "flushed": Control("the table is emptied after each packet", flushes=True),
    "twice": Control("each packet comes twice", wire=lambda: lambda data: [data, data]),
    "mute": Control("every packet is dropped where it leaves", rules=_hooks("drop", "postrouting 400")),
    "every-second": Control("every second packet is lost before it comes in", wire=_every_second),
    "late": Control("each packet comes in when the next one is sent", wire=_late),
    "damaged": Control("the last bit of each packet is another one", wire=lambda: _damaged),
    "deaf": Control("every second packet is lost after it has left", back=_every_second),
    "garbled": Control("the last bit of each packet is another one once it has left", back=lambda: _damaged),
    "hasty": Control("nothing is waited for", waits=False),
    "switched": Control("what netfilter has on is off at first, and the reverse", before=_switched),
    "refused": Control("sysctls are set without capabilities, so refused", settings=Settings.REFUSED),
    "marked": Control(
        "every packet and its flow have a mark, and the flow a label",
        rules=_hooks(
            "meta mark set 0x1234; ct mark set 0x1234; ct label set 5", "prerouting -190", "output -190"
        ),
    ),
    "rejected": Control(
        "every packet is rejected where it leaves", rules=_hooks("reject", "forward -10", "output -10")
    ),
    "powerless": Control("flows are made, changed and deleted without any capability", powers=False),
    "tracked": Control(
        "a rule switches connection tracking on at first", rules=_hooks("ct state new", "prerouting 0")
    ),
    "bridged": Control(
        "a rule switches connection tracking on in bridges",
        rules=_hooks("ct state new", "prerouting 0").replace("inet", "bridge"),
    ),
    "translated": Control("the source of every new flow is translated", rules=_TRANSLATED),
    "full": Control(
        "the table has room for one flow",
        settings=Settings.LEFT,
        machine={"net/netfilter/nf_conntrack_max": "1"},
    ),
    "no-modules": Control("the kernel loads no module on its own", machine={"kernel/modprobe": "/nothing"}),
    "user": Control("an ordinary user asks", parameters={"scope": "user"}),
    "two-cpus": Control("the machine has two CPUs", parameters={"cpus": "2"}),
    "ipv6": Control("the lab's family is IPv6", parameters={"family": "ipv6"}),
    "legacy": Control("the rules are those of iptables-legacy", parameters={"frontend": "legacy"}),
}
"""By name, in the order in which they are tried."""


def control_of(variant: Mapping[str, str]) -> Control:
    """The control of a cell. Raises KeyError for a name that is none."""
    return CONTROLS[variant.get(PARAMETER, UNDISTURBED)]
