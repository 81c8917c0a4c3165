"""iptables' extensions: which of them a kernel has, and whether they see their packets."""

from __future__ import annotations

import re
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from guest.catalogue import IPTABLES, Facts, experiment
from guest.errors import ToolFailed, Unsupported
from guest.family import Family
from guest.lab.lab import Lab
from guest.lab.namespace import Namespace
from guest.lab.packets import endpoint, neighbour, tcp, udp
from guest.lab.router import Router

_FIRST_PORT = 1000
_SAID = re.compile("failed|Warning")
_NOISE = re.compile(r"^.*restore: |line \d+:? ")


@dataclass(frozen=True)
class _Rule:
    """One extension in a rule of its own: where, and the packet that it should see.

    `packet` is udp or tcp through the router, to it (in), from it (out), or nothing where a packet
    alone cannot show anything. `family` is empty where the extension is for both.
    """

    name: str
    place: str
    text: str
    packet: str = "udp"
    family: str = ""

    @property
    def table(self) -> str:
        """The table that `place` names."""
        return self.place.split()[0]

    @property
    def chain(self) -> str:
        """The chain that `place` names."""
        return self.place.split()[1]


_RULES = (
    _Rule("CT", "raw PREROUTING", "-j CT --zone 1"),
    _Rule("TRACE", "raw PREROUTING", "-j TRACE"),
    _Rule("MARK", "mangle PREROUTING", "-j MARK --set-mark 1"),
    _Rule("CONNMARK", "mangle PREROUTING", "-j CONNMARK --set-mark 1"),
    _Rule("DSCP", "mangle PREROUTING", "-j DSCP --set-dscp 1"),
    _Rule("TTL", "mangle PREROUTING", "-j TTL --ttl-set 9", family="ipv4"),
    _Rule("HL", "mangle PREROUTING", "-j HL --hl-set 9", family="ipv6"),
    _Rule("TPROXY", "mangle PREROUTING", "-j TPROXY --on-port 1"),
    _Rule("IDLETIMER", "mangle PREROUTING", "-j IDLETIMER --timeout 60 --label one"),
    _Rule("TCPOPTSTRIP", "mangle PREROUTING", "-j TCPOPTSTRIP --strip-options mss", "tcp"),
    _Rule("TCPMSS", "mangle FORWARD", "--tcp-flags SYN,RST SYN -j TCPMSS --set-mss 1000", "tcp"),
    _Rule("DNPT", "mangle PREROUTING", "-j DNPT --src-pfx 2001:db8:2::/64 --dst-pfx 2001:db8:2::/64",
          family="ipv6"),
    _Rule("SNPT", "mangle POSTROUTING", "-j SNPT --src-pfx 2001:db8:1::/64 --dst-pfx 2001:db8:9::/64",
          family="ipv6"),
    _Rule("CLASSIFY", "mangle POSTROUTING", "-j CLASSIFY --set-class 1:1"),
    _Rule("CHECKSUM", "mangle POSTROUTING", "-j CHECKSUM --checksum-fill"),
    _Rule("NFLOG", "filter FORWARD", "-j NFLOG --nflog-group 1"),
    _Rule("LOG", "filter FORWARD", "-j LOG"),
    _Rule("NFQUEUE", "filter FORWARD", "-j NFQUEUE --queue-num 1 --queue-bypass"),
    _Rule("AUDIT", "filter FORWARD", "-j AUDIT --type drop"),
    _Rule("REJECT", "filter FORWARD", "-j REJECT"),
    _Rule("SYNPROXY", "filter FORWARD", "-j SYNPROXY --mss 1460", "tcp"),
    _Rule("DNAT", "nat PREROUTING", "-j DNAT --to-destination {server}"),
    _Rule("REDIRECT", "nat PREROUTING", "-j REDIRECT --to-ports 9"),
    _Rule("NETMAP", "nat PREROUTING", "-j NETMAP --to {server}"),
    _Rule("MASQUERADE", "nat POSTROUTING", "-j MASQUERADE"),
    _Rule("SNAT", "nat POSTROUTING", "-j SNAT --to-source {router}"),
    _Rule("socket", "mangle PREROUTING", "-m socket --nowildcard", "in"),
    _Rule("rpfilter", "mangle PREROUTING", "-m rpfilter"),
    _Rule("addrtype", "filter FORWARD", "-m addrtype --src-type UNICAST"),
    _Rule("bpf", "filter FORWARD", '-m bpf --bytecode "1,6 0 0 1"'),
    _Rule("connbytes", "filter FORWARD",
          "-m connbytes --connbytes 0: --connbytes-dir both --connbytes-mode packets", ""),
    _Rule("connlimit", "filter FORWARD", "-m connlimit --connlimit-upto 5"),
    _Rule("connmark", "filter FORWARD", "-m connmark --mark 0"),
    _Rule("conntrack", "filter FORWARD", "-m conntrack --ctstate NEW"),
    _Rule("hashlimit", "filter FORWARD", "-m hashlimit --hashlimit-upto 9/sec --hashlimit-name one"),
    _Rule("length", "filter FORWARD", "-m length --length 1:"),
    _Rule("limit", "filter FORWARD", "-m limit --limit 9/sec"),
    _Rule("mac", "filter FORWARD", "-m mac --mac-source 02:00:00:00:00:01", ""),
    _Rule("mark", "filter FORWARD", "-m mark --mark 0"),
    _Rule("multiport", "filter FORWARD", "-m multiport --sports 40000,40001"),
    _Rule("osf", "filter FORWARD", "-p tcp -m osf --genre Linux", "", "ipv4"),
    _Rule("physdev", "filter FORWARD", "-m physdev ! --physdev-is-bridged"),
    _Rule("policy", "filter FORWARD", "-m policy --dir in --pol none"),
    _Rule("recent", "filter FORWARD", "-m recent --set --name one"),
    _Rule("statistic", "filter FORWARD", "-m statistic --mode nth --every 1 --packet 0"),
    _Rule("string", "filter FORWARD", "-m string --string data --algo bm"),
    _Rule("time", "filter FORWARD", "-m time --weekdays Mon,Tue,Wed,Thu,Fri,Sat,Sun"),
    _Rule("u32", "filter FORWARD", '-m u32 --u32 "0>>28=4:6"'),
    _Rule("cgroup", "filter OUTPUT", "-m cgroup ! --cgroup 7", "out"),
    _Rule("owner", "filter OUTPUT", "-m owner --uid-owner 0", "out"),
)  # fmt: skip


class ExtensionInventory(Facts):
    """Facts of `extension-inventory`."""

    accepted: Annotated[list[str], "extensions of which a rule is accepted for IPv4 and for IPv6"]
    ipv4_only: Annotated[list[str], "for IPv4 only"]
    ipv6_only: Annotated[list[str], "for IPv6 only"]
    refused: Annotated[list[str], "rules that are not accepted, by family, with the program's words"]
    idle: Annotated[list[str], "accepted, but the rule did not see the packet that was made for it"]


@experiment(variants={"frontend": IPTABLES}, seconds=180)
def extension_inventory(lab: Lab) -> ExtensionInventory:
    """Which of iptables' extensions does this kernel load, and do they see their packets?

    One rule for each of 26 targets (in capitals) and 24 matches, for each family that has
    it, and for most of them a packet that the rule must count: forwarded, for the router itself, or
    its own. A node whose kernel lacks one of them does not come up when its network plugin loads
    its rules; after one stable update that was MARK, for IPv6 alone.
    """
    accepted: dict[Family, list[str]] = {}
    refused, idle = [], []
    for family in Family:
        loaded, words, unseen = _ask(lab, family)
        accepted[family] = loaded
        refused += [f"{family.value} {name}: {said}" for name, said in words.items()]
        idle += [f"{family.value} {name}" for name in unseen]
    four, six = accepted[Family.IPV4], accepted[Family.IPV6]
    return ExtensionInventory(
        accepted=[name for name in four if name in six],
        ipv4_only=[name for name in four if name not in six],
        ipv6_only=[name for name in six if name not in four],
        refused=refused,
        idle=idle,
    )


def _ask(lab: Lab, family: Family) -> tuple[list[str], dict[str, str], list[str]]:
    """Names of the rules that are accepted, words for those that are not, names of those accepted
    that do not see their packet.
    """
    place = lab.new_namespace()
    place.family = family
    router = place.router(states=False)
    rules = [rule for rule in _RULES if rule.family in ("", family.value)]
    ports = {rule.name: _FIRST_PORT + number for number, rule in enumerate(rules)}
    lines = {rule.name: _line(place, rule, ports[rule.name]) for rule in rules}
    words: dict[str, str] = {}
    for table in dict.fromkeys(rule.table for rule in rules):
        _load(place, table, [rule.name for rule in rules if rule.table == table], lines, words)
    loaded = [rule for rule in rules if rule.name not in words]
    for rule in loaded:
        _send(place, router, rule.packet, ports[rule.name])
    counters = place.counters()
    return (
        [rule.name for rule in loaded],
        words,
        [rule.name for rule in loaded if rule.packet and not counters.packets(rule.name)],
    )


def _line(place: Namespace, rule: _Rule, port: int) -> str:
    addresses = {"client": place.client, "server": place.server, "router": neighbour(place.server, 1)}
    text = rule.text.format(**addresses)
    if not text.startswith("-p"):
        text = f"-p {'tcp' if rule.packet == 'tcp' else 'udp'} --dport {port} {text}"
    return f"-A {rule.chain} {text} -m comment --comment {rule.name}"


def _load(
    place: Namespace, table: str, names: Sequence[str], lines: dict[str, str], words: dict[str, str]
) -> None:
    """Loads these rules at once; where that is refused, in halves, until each that is refused is
    alone, and notes its words.
    """
    try:
        place.iptables(f"*{table}\n" + "\n".join(lines[name] for name in names))
    except (Unsupported, ToolFailed) as error:
        if len(names) > 1:
            for half in (names[: len(names) // 2], names[len(names) // 2 :]):
                _load(place, table, half, lines, words)
        else:
            said = [line for line in str(error).splitlines() if _SAID.search(line)]
            words[names[0]] = "; ".join(_NOISE.sub("", line) for line in said)


def _send(place: Namespace, router: Router, way: str, port: int) -> None:
    """The packet that a rule should see, to a port that it alone looks at."""
    client, server, own = place.client, place.server, neighbour(place.client, 1)
    if way in ("udp", "tcp"):
        router.from_client((tcp if way == "tcp" else udp)(endpoint(client, 40000), endpoint(server, port)))
    elif way:
        with place.inside(), socket.socket(place.family.af, socket.SOCK_DGRAM) as local:
            if way == "out":
                local.sendto(b"data", (server, port))
            else:
                local.bind((own, port))
                router.client.send(udp(endpoint(client, 40000), endpoint(own, port)))
