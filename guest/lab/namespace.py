"""One network namespace as experiments use it: interfaces, sysctls, rules, counters and flows."""

from __future__ import annotations

import itertools
import os
import re
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path

from guest.controls import Control, control_of
from guest.errors import Unsupported
from guest.family import Family
from guest.lab import nftables
from guest.lab.chain import Chain
from guest.lab.journal import Journal
from guest.lab.netns import Netns
from guest.lab.packets import split
from guest.lab.queue import Queue
from guest.lab.router import Router, state_counters, state_rules
from guest.lab.rules import declaration, declared, must_declare, program, restore_text, tool
from guest.lab.tun import Tun
from guest.linux import errno_name, powerless
from guest.observe.counters import Counters, parse_nft, parse_save
from guest.observe.ctnetlink import GONE, Events, Flow
from guest.observe.proc import parse_netstat


def _adds(line: str) -> bool:
    """Whether a line of iptables-restore's language is a rule."""
    return line.lstrip().startswith(("-A", "-I"))


class Namespace:
    """A network namespace with the parameters of its cell.

    `variant` holds the cell's parameters; `frontend` and `family` are taken from it, `nft` and IPv4
    where it has none, and every method below follows them.
    """

    def __init__(self, netns: Netns, journal: Journal, variant: Mapping[str, str]) -> None:
        self.journal = journal
        self.variant = dict(variant)
        self.frontend = variant.get("frontend", "nft")
        self.family = Family(variant.get("family", "ipv4"))
        self.links = netns.links
        self.control = control_of(variant)
        self.conntrack = netns.conntrack
        self.conntrack.powers = self.control.powers
        self._netns = netns
        self._tables: set[str] = set()
        self._declared: set[tuple[str, str]] = set()
        self._native = False
        self._rules = 0
        self._begin(self.control)

    def _begin(self, control: Control) -> None:
        """Loads the rules of a control, and sets what it sets before the experiment begins."""
        with self.inside():
            if control.rules:
                nftables.run(control.rules)
            if control.routing:
                for version in ("-4", "-6"):
                    tool("ip", version, *control.routing.split())
            if not control.before:
                return
            for path in Path("/proc/sys/net").glob("[bn]*/*"):  # bridge and netfilter
                with suppress(OSError):  # what is not for this namespace to read, or to set, stays
                    for value in control.before(path.name, path.read_text().strip()):
                        path.write_text(value)

    @property
    def ip(self) -> str:
        """The family in nft's language: `ip` or `ip6`."""
        return self.family.nft

    @property
    def client(self) -> str:
        """The address of a router's client: 10.0.1.2 or 2001:db8:1::2."""
        return self.family.client

    @property
    def server(self) -> str:
        """The address of a router's server: 10.0.2.2 or 2001:db8:2::2."""
        return self.family.server

    @property
    def local(self) -> str:
        """The address of a host: 192.0.2.1 or 2001:db8:2::1."""
        return self.family.local

    @property
    def distant(self) -> str:
        """The address of a machine behind a host's gateway: 198.18.0.2 or 2001:db8:18::2."""
        return self.family.distant

    @contextmanager
    def inside(self) -> Iterator[None]:
        """Runs the `with` block in this namespace: sockets opened there belong to it."""
        with self._netns.inside():
            yield

    def new_namespace(self) -> Namespace:
        """One more fresh network namespace of the same cell."""
        return Namespace(self._netns.new(), self.journal, self.variant)

    def close(self) -> None:
        """Releases the namespace: once its devices are closed too, the kernel removes it."""
        if self.control.releases:
            self._netns.close()

    # Topologies

    def tun(self, name: str, address: str = "", peer: str = "") -> Tun:
        """A tun that is up and has an address. Without one, tun0 gets 10.0.1.1/24, tun1
        10.0.2.1/24, and so on (2001:db8:1::1/64 and so on).
        """
        address = address or self.family.interface(int(name.removeprefix("tun")) + 1)
        made = self.device(name)
        with self.inside():
            self.links.address(name, address, peer)
            self.links.up(name)
        return made

    def device(self, name: str, *, tap: bool = False) -> Tun:
        """A tun, or a tap, that is down and has no address."""
        with self.inside():
            return Tun(
                name,
                self.journal.packet,
                tap=tap,
                wire=self.control.wire and self.control.wire(),
                back=self.control.back and self.control.back(),
                after=self._flushing(self.control.flushes) if self.control.flushes else None,
            )

    def _flushing(self, due: Callable[[int], bool]) -> Callable[[], None]:
        """What empties the table after those packets of a device for which it is due."""
        numbers = itertools.count(1)

        def after() -> None:
            if due(next(numbers)):
                self.conntrack.flush()

        return after

    def host(self, family: Family | None = None) -> Tun:
        """A machine at the end of a wire: tun0 192.0.2.1 with peer 192.0.2.2 (2001:db8:2::1 and
        ::2), default route via the peer.

        `family` is for an experiment about one family; other hosts have the cell's.
        """
        if (family or self.family) is Family.IPV6:
            self._quiet_ipv6()
            wire = self.tun("tun0", "2001:db8:2::1/64")
            self.links.route("::/0", via="2001:db8:2::2", name="tun0")
            return wire
        self._no_ipv6()
        wire = self.tun("tun0", "192.0.2.1", "192.0.2.2")
        self.links.route("0.0.0.0/0", via="192.0.2.2")
        return wire

    def router(self, rules: str = "", *, family: Family | None = None, states: bool = True) -> Router:
        """A router between 10.0.1.0/24 (tun0, itself .1, the client .2) and 10.0.2.0/24 (tun1, the
        server .2).

        With IPv6 between 2001:db8:1::/64 and 2001:db8:2::/64 likewise. `rules` is an nft script.
        With `states` each forwarded packet is counted under its conntrack state, which the router's
        verbs then return; that rule switches connection tracking on. `family` is for an experiment
        about one family; other routers have the cell's.
        """
        family = family or self.family
        if family is Family.IPV6:
            self._quiet_ipv6()
            self.sysctl("net/ipv6/conf/all/forwarding", 1)
        else:
            self._no_ipv6()
            self.sysctl("net/ipv4/ip_forward", 1)
            self.sysctl("net/ipv4/conf/all/rp_filter", 0)
            self.sysctl("net/ipv4/conf/default/rp_filter", 0)
        client, server = (self.tun(f"tun{number}", family.interface(number + 1)) for number in range(2))
        script = "".join(self._loaded([textwrap.dedent(rules)] if rules else []))
        script = (state_rules(family) if states else "") + script
        self._native = self._native or bool(script)
        with self.inside():
            if script:
                nftables.run(script)
            return Router(client, server, family, state_counters(family) if states else None)

    def _no_ipv6(self) -> None:
        # The kernel sends router solicitations and MLD reports unasked; with IPv4 they would be
        # counted.
        self.sysctl("net/ipv6/conf/all/disable_ipv6", 1)
        self.sysctl("net/ipv6/conf/default/disable_ipv6", 1)

    def _quiet_ipv6(self) -> None:
        for name, value in (
            ("router_solicitations", 0),
            ("dad_transmits", 0),
            ("accept_ra", 0),
            ("addr_gen_mode", 1),
        ):
            self.sysctl(f"net/ipv6/conf/default/{name}", value)

    # Sysctls

    def sysctl(self, name: str, value: int | str) -> None:
        """Sets a sysctl of this namespace (`net/netfilter/nf_conntrack_udp_timeout`). Raises
        Unsupported with the errno's name if the kernel refuses the value.
        """
        if self.control.settings.spare(name):
            return
        refusal = self.try_sysctl(name, self.control.settings.given(name, value))
        if refusal != "ok":
            raise Unsupported(f"writing {value} to {name}: {refusal}")

    def try_sysctl(self, name: str, value: int | str) -> str:
        """Tries to set a sysctl of this namespace: `ok`, or the errno's name with which the kernel
        refuses.
        """
        refuse = self.control.settings.refuse(name)
        with self.inside(), powerless() if refuse else nullcontext():
            try:
                Path("/proc/sys", name).write_text(f"{value}\n")
            except OSError as error:
                return errno_name(error)
        return "ok"

    def read_sysctl(self, name: str) -> str:
        """The value of a sysctl of this namespace. Raises Unsupported with the errno's name if the
        kernel refuses to read it.
        """
        with self.inside():
            try:
                return Path("/proc/sys", name).read_text().strip()
            except OSError as error:
                raise Unsupported(f"reading {name}: {errno_name(error)}") from error

    def sysctl_names(self, directory: str) -> list[str]:
        """The sysctls of this namespace in a directory such as `net/netfilter`, sorted."""
        with self.inside():
            return sorted(path.name for path in Path("/proc/sys", directory).iterdir())

    def read(self, path: str) -> str:
        """The text of a file as read inside this namespace: files under /proc/net and /proc/sys/net
        differ between namespaces.
        """
        with self.inside():
            return Path(path).read_text(errors="replace")

    # Rules

    def iptables(self, rules: str) -> None:
        """Adds rules through the cell's frontend, in iptables-restore's language without COMMIT,
        with one program start.
        """
        self._tables |= set(re.findall(r"^\s*\*(\w+)", rules, re.MULTILINE))
        lines = [line for line in rules.splitlines() if not _adds(line) or self._loaded([line])]
        if any(map(_adds, rules.splitlines())) and not any(map(_adds, lines)):
            return
        with self.inside():
            text = restore_text("\n".join(lines))
            self._restore(declared(text, self._declared) if self._declares else text)

    def iptables_command(self, *arguments: str) -> str:
        """Runs iptables itself, for what iptables-restore cannot do: list and delete."""
        table = arguments[arguments.index("-t") + 1] if "-t" in arguments else "filter"
        self._tables.add(table)
        with self.inside():
            words = arguments[2:] if arguments[0] == "-t" else arguments
            if self._declares and (line := declaration(table, words, self._declared)):
                self._restore(f"*{table}\n{line}COMMIT\n")
            return tool(program(self.family, self.frontend), *arguments)

    @property
    def _declares(self) -> bool:
        return self.frontend == "nft" and must_declare()

    def _restore(self, text: str) -> None:
        tool(program(self.family, self.frontend, "restore"), "--noflush", text=text)

    def nft(self, script: str) -> None:
        """Runs a script in nft's own language."""
        self._native = True
        if not self._loaded([script]):
            return
        with self.inside():
            nftables.run(textwrap.dedent(script))

    def chain(self, place: str, *rules: str, family: str = "") -> Chain:
        """Loads a base chain with rules in nft's language, at a hook and a priority: `postrouting
        nat`, `forward filter`, `prerouting raw`, `forward -10`.

        `family` is nft's, such as `inet` or `bridge`; by default it is the cell's.
        """
        self._native = True
        kept = self._loaded(rules or ("",))  # a chain without rules is one as well
        return Chain(self._netns, place, family or self.ip, kept, loads=bool(kept))

    def _loaded(self, rules: Iterable[str]) -> list[str]:
        """Those of the experiment's next rules that its control does not keep from being loaded."""
        kept = []
        for rule in rules:
            if self.control.loads(self._rules):
                kept.append(rule)
            self._rules += 1
        return kept

    def track(self) -> Chain:
        """Switches connection tracking on, by a rule that refers to it and does nothing."""
        return self.chain("prerouting filter", "ct state new")

    def counters(self) -> Counters:
        """The counters of every rule with a comment and of every base chain's policy, read now."""
        found = Counters({}, {})
        with self.inside():
            for command in self._listings():
                text = tool(*command)
                self.journal.counters(command, text)
                found |= parse_save(text)
            if self._native:
                text = nftables.run("list ruleset", json=True)
                self.journal.counters(("nft", "-j", "list", "ruleset"), text)
                found |= parse_nft(text)
        return found

    def _listings(self) -> list[tuple[str, ...]]:
        if not self._tables:
            return []
        save = (program(self.family, self.frontend, "save"), "-c")
        if self.frontend == "legacy" and not os.access(f"/proc/net/{self.ip}_tables_names", os.R_OK):
            # The root of a user namespace may not read which legacy tables there are, and has to
            # name each.
            return [(*save, "-t", table) for table in sorted(self._tables)]
        return [save]

    # Flows

    def flows(self) -> list[Flow]:
        """Every flow in the table, ordered by tuple. Reading evicts expired flows."""
        found = self.conntrack.flows()
        self.journal.table(found)
        return found

    def flow(self, source: str, destination: str = "") -> Flow:
        """The flow whose original direction comes from an endpoint (`10.0.1.2:40000`) and, if
        `destination` is given, goes there. GONE if the table holds none.

        Endpoints have no port where the protocol has none.
        """
        for flow in self.flows():
            orig = flow.orig
            goes_there = not destination or (orig.destination, orig.dport) == split(destination)
            if (orig.source, orig.sport) == split(source) and goes_there:
                return flow
        return GONE

    def state(self, source: str) -> str:
        """The protocol state of the flow from an endpoint, or `gone`."""
        return self.flow(source).state

    def events(self) -> Events:
        """A listener for flow events from now on."""
        with self.inside():
            return Events()

    def queue(self, number: int = 0) -> Queue:
        """A listener on an NFQUEUE number."""
        with self.inside():
            return Queue(number)

    def statistics(self, since: dict[str, int] | None = None) -> dict[str, int]:
        """The statistics of the table summed over CPUs; with `since`, as the difference to that
        earlier reading.
        """
        now = self.conntrack.statistics()
        return {name: value - (since or {}).get(name, 0) for name, value in now.items()}

    def netstat(self) -> dict[str, int]:
        """The TCP and IP statistics of /proc/net/netstat and /proc/net/snmp, by their names there
        (`SyncookiesSent`).
        """
        return parse_netstat(self.read("/proc/net/netstat") + self.read("/proc/net/snmp"))
