"""The frontends themselves, and what the kernel logs."""

from __future__ import annotations

import re

from guest.catalogue import Fact, Facts, Invariant, Unsupported, experiment
from guest.lab import Lab
from guest.lab.packets import tcp
from guest.lab.rules import ToolFailed
from guest.root import Refused

_TABLES = ("filter", "nat", "mangle", "raw", "security")


@experiment(
    facts=[
        Fact("modules", list, "per table: whether its module can be loaded, or modprobe's words"),
        Fact("tables", list, "per table: whether a rule can be added to it, or iptables' words"),
    ],
    variants={"frontend": ("legacy", "nft"), "scope": ("user", "root")},
)
def iptables_tables(lab: Lab) -> Facts:
    """Which tables of iptables are there, in each frontend?

    The guest's root loads the module of each legacy table of IPv4 and IPv6, then a rule is added to each in a fresh namespace. Some
    kernels are built without the legacy tables; iptables-legacy fails there, and so does software that calls it.
    """
    modules, tables = [], []
    for family, prefix in ((4, "ip"), (6, "ip6")):
        for table in _TABLES:
            name = f"{prefix} {table}"
            try:
                lab.root.modprobe(f"{prefix}table_{table}")
                modules.append(f"{name}: ok")
            except Refused as refusal:
                modules.append(f"{name}: {_last_line(str(refusal))}")
            chain = "PREROUTING" if table in ("nat", "mangle", "raw") else "INPUT"
            try:
                lab.iptables(f"*{table}\n-A {chain} -p tcp", family)
                tables.append(f"{name}: ok")
            except (Unsupported, ToolFailed) as failure:
                tables.append(f"{name}: {_last_line(str(failure).partition(chr(10))[0])}")
    return {"modules": modules, "tables": tables}


def _last_line(words: str) -> str:
    # The kernel's release is part of modprobe's words and would differ everywhere.
    return re.sub(r"/\S*|\d+\.\d+\S*", "...", words.strip().splitlines()[-1])


@experiment(
    facts=[
        Fact("logger", str, "who logs for IPv4 in a namespace before a logger module is loaded"),
        Fact("without", int, "lines logged about an INVALID packet then"),
        Fact("module", str, "which module gives a logger: nf_log_syslog, nf_log_ipv4 or none"),
        Fact("with_module", int, "lines logged once it is loaded"),
        Fact("wording", list, "what they say, up to the packet itself"),
    ],
)
def log_invalid(lab: Lab) -> Facts:
    """Does nf_conntrack_log_invalid log without a logger being loaded first?

    nf_conntrack_log_invalid is 255 (all protocols) and net.netfilter.nf_log_all_netns 1, so that namespaces may log. A segment with SYN
    and FIN set goes through a router, before and after a logger module is loaded.
    """
    for name in ("nf_log_syslog", "nf_log_ipv4"):
        try:
            lab.root.rmmod(name)
        except Refused:
            continue
    lab.root.write("/proc/sys/net/netfilter/nf_log_all_netns", 1)
    router = lab.router()
    lab.sysctl("net/netfilter/nf_conntrack_log_invalid", 255)

    def logged() -> list[str]:
        before = len(lab.root.dmesg())
        router.from_client(tcp("10.0.1.2:5000", "10.0.2.2:80", "SF"))
        return [line for line in lab.root.dmesg()[before:] if "SRC=10.0.1.2" in line]

    facts: Facts = {"logger": lab.read_sysctl("net/netfilter/nf_log/2"), "without": len(logged()), "module": "none"}
    for name in ("nf_log_syslog", "nf_log_ipv4"):
        try:
            lab.root.modprobe(name)
        except Refused:
            continue
        facts["module"] = name
        break
    lines = logged()
    return facts | {"with_module": len(lines), "wording": sorted({line.partition("IN=")[0].strip() for line in lines})}


@experiment(
    facts=[
        Fact("iptables_sees", int, "packets that an iptables rule counts while nft drops them at an earlier priority"),
        Fact("nft_sees", int, "packets that an nft rule counts after iptables accepted them"),
        Fact("accept_is_final", bool, "whether a packet that iptables accepts can still be dropped by a later nft chain"),
        Fact("nat_both", str, "which frontend's DNAT wins when both translate: iptables, nft, or neither"),
    ],
    variants={"frontend": ("legacy", "nft")},
    invariants=[Invariant("accepting in one chain does not end the walk", lambda facts, variant: not facts["accept_is_final"])],
)
def mixed_frontends(lab: Lab) -> Facts:
    """What happens when rules of iptables and of nft are loaded at once?

    Four steps in FORWARD and PREROUTING: nft drops before iptables counts; iptables accepts, then nft counts and drops; both translate the
    destination at the same priority, iptables' rule loaded first.
    """
    place = lab.another()
    router = place.router("table ip early { chain f { type filter hook forward priority -10; tcp dport 81 drop; }; }")
    place.iptables("*filter\n-A FORWARD -p tcp --dport 81 -m comment --comment late -j ACCEPT\n-A FORWARD -p tcp --dport 82 -j ACCEPT")
    place.nft('table ip late { chain f { type filter hook forward priority 10; tcp dport 82 counter drop comment "nft"; }; }')
    router.from_client(tcp("10.0.1.2:5000", "10.0.2.2:81"))
    state = router.from_client(tcp("10.0.1.2:5000", "10.0.2.2:82"))
    counters = place.counters()
    facts: Facts = {
        "iptables_sees": counters.packets("late"),
        "nft_sees": counters.packets("nft"),
        "accept_is_final": state != "lost",
    }
    place = lab.another()
    router = place.router()
    place.iptables("*nat\n-A PREROUTING -p tcp --dport 80 -j DNAT --to-destination 10.0.2.3")
    place.nft("table ip mine { chain pre { type nat hook prerouting priority -100; tcp dport 80 dnat to 10.0.2.4; }; }")
    router.from_client(tcp("10.0.1.2:5000", "10.0.2.2:80"))
    winner = {bytes([10, 0, 2, 3]): "iptables", bytes([10, 0, 2, 4]): "nft"}
    return facts | {"nat_both": winner.get(router.out[0][16:20], "neither") if router.out else "neither"}
