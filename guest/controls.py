"""Controls: what an experiment is asked under, to see that its facts can differ.

Each takes away, or breaks, something that any experiment may rest on. The lab does it by the
parameter `control` of a variant, which no experiment declares; the host plans such cells.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

PARAMETER, UNDISTURBED = "control", "none"
"""The parameter of a variant that names its control, and the control that does nothing."""

Wire = Callable[[bytes], list[bytes]]
"""What becomes of a packet on its way to the kernel, or from it: all that arrives then."""


class Settings(StrEnum):
    """What becomes of the sysctls that an experiment sets, but for those of addresses and routes:
    they are set, set to a 32nd part, left as they are, or left and refused to an experiment that
    tries to set one.
    """

    SET = "set"
    LESS = "less"
    LEFT = "left"
    REFUSED = "refused"

    def spare(self, name: str) -> bool:
        """Whether the sysctl of this name is left as it is."""
        return self in (Settings.LEFT, Settings.REFUSED) and not _of_routes(name)

    def given(self, name: str, value: int | str) -> int | str:
        """What the sysctl of this name is set to if the experiment sets it to a value. Switches and
        other small numbers stay.
        """
        if self is Settings.LESS and isinstance(value, int) and value >= 32 and not _of_routes(name):
            return value // 32
        return value

    def refuse(self, name: str) -> bool:
        """Whether the sysctl of this name is to be refused by the kernel."""
        return self is Settings.REFUSED and self.spare(name)


def _of_routes(name: str) -> bool:
    return name.startswith(("net/ipv4/", "net/ipv6/"))


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
    flushes: Callable[[int], bool] | None = None
    """Whether the table is emptied after a packet, by how many a tun has been sent with it."""
    waits: bool = True
    """Whether time passes where the experiment waits."""
    powers: bool = True
    """Whether flows are made, changed and deleted as by root, not as by a user who may not."""
    releases: bool = True
    """Whether a namespace goes when the experiment releases it."""
    routing: str = ""
    """A command of ip's for each family in each namespace."""
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


def _numbered(becomes: Callable[[int, bytes], list[bytes]]) -> Callable[[], Wire]:
    """Makes a wire on which it depends on a packet's number, from 1, what becomes of it."""

    def make() -> Wire:
        numbers = itertools.count(1)
        return lambda data: becomes(next(numbers), data)

    return make


def _odd(number: int, data: bytes) -> list[bytes]:
    return [data] if number % 2 else []


def _late() -> Wire:
    held: list[bytes] = []

    def hand(data: bytes) -> list[bytes]:
        held.append(data)
        return [held.pop(0)] if len(held) > 1 else []

    return hand


def _moved(data: bytes, place: int, *, up: int) -> bytes:
    """The packet with `up` added to a word of two bytes, and its checksums still right: `up` is
    taken from the word before.
    """
    words = [int.from_bytes(data[at : at + 2], "big") for at in (place - 2, place)]
    moved = ((words[0] - up) % 0x10000, (words[1] + up) % 0x10000)
    return data[: place - 2] + b"".join(word.to_bytes(2, "big") for word in moved) + data[place + 2 :]


def _header(data: bytes) -> int:
    """The length of a packet's IP header; 0 for a frame."""
    return {4: (data[0] & 15) * 4, 6: 40}.get(data[0] >> 4, 0)


def _elsewhere(data: bytes) -> bytes:
    return _moved(data, _header(data) + 2, up=1) if _header(data) else data


def _aged(data: bytes) -> list[bytes]:
    if data[0] >> 4 == 6:
        return [data[:7] + bytes([data[7] - 1]) + data[8:]]
    if data[0] >> 4 == 4:
        checksum = int.from_bytes(data[10:12], "big") + 0x100
        checksum = (checksum & 0xFFFF) + (checksum >> 16)
        return [data[:8] + bytes([data[8] - 1, data[9]]) + checksum.to_bytes(2, "big") + data[12:]]
    return [data]


def _untagged(data: bytes) -> list[bytes]:
    return [data[:12] + data[16:] if data[12:14] == b"\x81\x00" else data]


def _twin(data: bytes) -> list[bytes]:
    # The last word of the source's address: 10.0.1.2 becomes 10.1.1.1.
    place = {4: 14, 6: 22}.get(data[0] >> 4)
    return [data, _moved(data, place, up=-1)] if place else [data]


def _switched(_name: str, value: str) -> Sequence[str]:
    return {"0": ["1", "255"], "1": ["0"]}.get(value, [])


def _translated(how: str = "") -> str:
    """Rules that translate the source of every new flow."""
    rules = f"snat ip to 10.9.9.9 {how}; snat ip6 to 2001:db8:99::9 {how}"
    return (
        f"table inet control {{ chain postrouting {{ type nat hook postrouting priority 90; {rules}; }}; }}\n"
    )


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
    "flushed": Control("the table is emptied after each packet", flushes=lambda number: True),
    "twice": Control("each packet comes twice", wire=lambda: lambda data: [data, data]),
    "mute": Control("every packet is dropped where it leaves", rules=_hooks("drop", "postrouting 400")),
    "every-second": Control("every second packet is lost before it comes in", wire=_numbered(_odd)),
    "late": Control("each packet comes in when the next one is sent", wire=_late),
    "damaged": Control("the last bit of each packet is another one", wire=lambda: _damaged),
    "deaf": Control("every second packet is lost after it has left", back=_numbered(_odd)),
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
    "translated": Control("the source of every new flow is translated", rules=_translated()),
    "full": Control(
        "the table has room for one flow",
        settings=Settings.LEFT,
        machine={"net/netfilter/nf_conntrack_max": "1"},
    ),
    "no-modules": Control("the kernel loads no module on its own", machine={"kernel/modprobe": "/nothing"}),
    "stuck": Control(
        "what netfilter has on is off, and the reverse, and the experiment cannot change it",
        settings=Settings.LEFT,
        before=_switched,
    ),
    "unanswered": Control(
        "every packet from the server's side is dropped",
        rules=_hooks('iifname "tun1" drop', "prerouting -500"),
    ),
    "silent": Control(
        "the machine's own ICMP is dropped", rules=_hooks("meta l4proto { 1, 58 } drop", "output -500")
    ),
    "logged": Control(
        "what is INVALID is logged by a rule", rules=_hooks("ct state invalid log", "prerouting -100")
    ),
    "stripped": Control(
        "no segment says that its sender takes selective acknowledgements",
        rules=_hooks("reset tcp option sack-perm", "prerouting -390", "output -390"),
    ),
    "scrambled": Control(
        "the source of every new flow is translated, its port by chance", rules=_translated("fully-random")
    ),
    "cut-off": Control(
        "only the first two packets come in",
        wire=_numbered(lambda number, data: [data] if number <= 2 else []),
    ),
    "elsewhere": Control(
        "the second to fiftieth packets come from the port before, and go to the port after",
        wire=_numbered(lambda number, data: [_elsewhere(data) if 2 <= number <= 50 else data]),
    ),
    "aged": Control("each packet has come through one router more", wire=lambda: _aged),
    "untagged": Control("frames come without their VLAN tags", wire=lambda: _untagged),
    "twin": Control("each packet is followed by the same from another source", wire=lambda: _twin),
    "forgotten": Control(
        "the table is emptied once, after the third packet", flushes=lambda number: number == 3
    ),
    "emptied": Control(
        "the table is emptied after every ten thousandth packet",
        flushes=lambda number: number % 10_000 == 0,
    ),
    "less": Control("numbers that are set are a 32nd part of what they should be", settings=Settings.LESS),
    "held": Control("a namespace that is released stays", releases=False),
    "prohibited": Control(
        "a routing rule prohibits what the machine itself sends", routing="rule add iif lo prohibit"
    ),
    "crowded": Control(
        "the table has few buckets and room for many flows",
        settings=Settings.LEFT,
        machine={
            "net/netfilter/nf_conntrack_buckets": "1024",
            "net/netfilter/nf_conntrack_max": "400000",
        },
    ),
    "frozen": Control("no module is loaded any more, or unloaded", machine={"kernel/modules_disabled": "1"}),
    "user": Control("an ordinary user asks", parameters={"scope": "user"}),
    "two-cpus": Control("the machine has two CPUs", parameters={"cpus": "2"}),
    "ipv6": Control("the lab's family is IPv6", parameters={"family": "ipv6"}),
    "legacy": Control("the rules are those of iptables-legacy", parameters={"frontend": "legacy"}),
}
"""By name, in the order in which they are tried."""


def control_of(variant: Mapping[str, str]) -> Control:
    """The control of a cell. Raises KeyError for a name that is none."""
    return CONTROLS[variant.get(PARAMETER, UNDISTURBED)]
