"""A cluster's services, as kube-proxy programs them: what clients see when a pod goes."""

from __future__ import annotations

from typing import Annotated

from guest.catalogue import Facts, Guard, experiment
from guest.lab.ipvs import Ipvs, Service
from guest.lab.lab import Lab
from guest.lab.namespace import Namespace
from guest.lab.packets import parse, tcp, udp
from guest.lab.router import LOST, Router

_ADDRESS = "10.0.2.200"
_SERVICES = {"tcp": 80, "udp": 53}
_PODS = {"tcp": ("10.0.2.2:8080", "10.0.2.3:8080"), "udp": ("10.0.2.2:5353", "10.0.2.3:5353")}
_AFFINITY_SECONDS = 10800
# What kube-proxy sets for IPVS.
_KNOBS = {"conntrack": 1, "conn_reuse_mode": 1, "expire_nodest_conn": 1, "expire_quiescent_template": 1}


class _Proxy:
    """Programs services for the pods that there are, as one of kube-proxy's modes does."""

    def __init__(self, place: Namespace, *, affinity: bool = False) -> None:
        self.place = place
        self.affinity = affinity

    def program(self, pods: dict[str, list[str]]) -> None:
        """Makes the rules for these pods, by protocol."""
        raise NotImplementedError


class _Iptables(_Proxy):
    """Chains of the table nat, by chance among the pods; refused in FORWARD if there are none."""

    first = True

    def program(self, pods: dict[str, list[str]]) -> None:
        """Makes the rules for these pods, by protocol."""
        nat, filtered = ["*nat"], ["*filter"]
        chains = ["KUBE-SERVICES"]
        rules = []
        for protocol, port in _SERVICES.items():
            match = f"-d {_ADDRESS}/32 -p {protocol} --dport {port}"
            if not pods[protocol]:
                filtered.append(f"-A KUBE-FORWARD {match} -j REJECT")
                continue
            chains.append(f"KUBE-SVC-{protocol}")
            rules.append(f"-A KUBE-SERVICES {match} -j KUBE-SVC-{protocol}")
            rules += self._pods(protocol, pods[protocol], chains)
        nat += [f":{chain} - [0:0]" for chain in chains] + rules
        if self.first:
            nat.append("-A PREROUTING -j KUBE-SERVICES")
            filtered.append("-A FORWARD -m conntrack --ctstate NEW -j KUBE-FORWARD")
        self.place.iptables("\n".join([*nat, filtered[0], ":KUBE-FORWARD - [0:0]", *filtered[1:]]))
        self.first = False

    def _pods(self, protocol: str, pods: list[str], chains: list[str]) -> list[str]:
        rules, affine = [], []
        for number, pod in enumerate(pods):
            left = len(pods) - number
            name = f"KUBE-SEP-{protocol}-{pod.split(':')[0]}"
            chains.append(name)
            chance = f"-m statistic --mode random --probability {1 / left:.5f} " if left > 1 else ""
            rules.append(f"-A KUBE-SVC-{protocol} {chance}-j {name}")
            recent = f"-m recent --name {name} --rsource"
            if self.affinity:
                affine.append(
                    f"-A KUBE-SVC-{protocol} {recent} --rcheck --seconds {_AFFINITY_SECONDS} --reap -j {name}"
                )
            noted = f"{recent} --set " if self.affinity else ""
            rules.append(f"-A {name} -p {protocol} {noted}-j DNAT --to-destination {pod}")
        return affine + rules


class _Nft(_Proxy):
    """Verdict maps, and for affinity a set with timeouts for each pod."""

    def program(self, pods: dict[str, list[str]]) -> None:
        """Makes the rules for these pods, by protocol."""
        services, refused, chains = [], [], []
        for protocol, port in _SERVICES.items():
            if not pods[protocol]:
                refused.append(f"{_ADDRESS} . {protocol} . {port} : goto refuse")
                continue
            services.append(f"{_ADDRESS} . {protocol} . {port} : goto service-{protocol}")
            chains += self._chains(protocol, pods[protocol])
        elements = {"services": services, "none": refused}
        maps = [
            f"map {name} {{ type ipv4_addr . inet_proto . inet_service : verdict;"
            + (f" elements = {{ {', '.join(found)} }};" if found else "")
            + " }"
            for name, found in elements.items()
        ]
        key = "ip daddr . meta l4proto . th dport vmap"
        self.place.nft(
            "table ip kube-proxy\ndelete table ip kube-proxy\ntable ip kube-proxy {\n"
            + "\n".join(["chain refuse { reject; }", *chains, *maps])
            + f"\nchain nat {{ type nat hook prerouting priority dstnat; {key} @services; }}"
            + "\nchain filter { type filter hook forward priority -110; ct state new"
            + f" {key} @none; }}\n}}\n"
        )

    def _chains(self, protocol: str, pods: list[str]) -> list[str]:
        made, affine = [], []
        for pod in pods:
            name = f"pod-{protocol}-{pod.split('.')[-1].split(':')[0]}"
            if self.affinity:
                made.append(
                    f"set {name} {{ type ipv4_addr; flags dynamic,timeout; timeout {_AFFINITY_SECONDS}s; }}"
                )
                affine.append(f"ip saddr @{name} goto {name}")
            noted = f"update @{name} {{ ip saddr }}; " if self.affinity else ""
            made.append(f"chain {name} {{ {noted}meta l4proto {protocol} dnat to {pod}; }}")
        choices = ", ".join(
            f"{number} : goto pod-{protocol}-{pod.split('.')[-1].split(':')[0]}"
            for number, pod in enumerate(pods)
        )
        chance = f"numgen random mod {len(pods)} vmap {{ {choices} }}"
        return [*made, f"chain service-{protocol} {{ {'; '.join([*affine, chance])}; }}"]


class _Ipvs(_Proxy):
    """Services of IPVS for an address that the node has itself, round robin, pods by weight."""

    def __init__(self, place: Namespace, *, affinity: bool = False) -> None:
        super().__init__(place, affinity=affinity)
        place.links.add("kube-ipvs0", "dummy")
        place.links.address("kube-ipvs0", f"{_ADDRESS}/32")
        for name, value in _KNOBS.items():
            place.sysctl(f"net/ipv4/vs/{name}", value)
        with place.inside():
            ipvs = Ipvs()
        seconds = _AFFINITY_SECONDS if affinity else 0
        numbers = {"tcp": 6, "udp": 17}
        self._services: dict[str, Service] = {
            protocol: ipvs.service(numbers[protocol], f"{_ADDRESS}:{port}", persistent=seconds)
            for protocol, port in _SERVICES.items()
        }
        self._there: dict[str, list[str]] = {protocol: [] for protocol in _SERVICES}

    def program(self, pods: dict[str, list[str]]) -> None:
        """Makes the rules for these pods, by protocol."""
        for protocol, service in self._services.items():
            for pod in pods[protocol]:
                if pod not in self._there[protocol]:
                    service.add(pod)
            for pod in self._there[protocol]:
                if pod not in pods[protocol]:
                    service.remove(pod)
            self._there[protocol] = list(pods[protocol])


_MODES: dict[str, type[_Proxy]] = {"iptables": _Iptables, "nft": _Nft, "ipvs": _Ipvs}


class DeletedPod(Facts):
    """Facts of `deleted-pod`."""

    connection: Annotated[str, "where a connection's next segment goes once its pod is deleted"]
    port_again: Annotated[str, "where a new connection from the same port goes then"]
    datagrams: Annotated[
        list[str],
        "where a client's datagrams from one port go: after the deletion, and once its entry is deleted too",
    ]
    affinity: Annotated[
        list[str],
        "with session affinity: four connections of one client, then two more after their pod is deleted",
    ]
    none_left: Annotated[list[str], "without pods: what a SYN and a datagram to the service get"]
    tracked: Annotated[
        int,
        "flows in conntrack's table that these two make",
        Guard("what is refused for want of pods must leave nothing that later packets follow"),
    ]


@experiment(variants={"mode": tuple(_MODES)}, modules=("ip_vs", "ip_vs_rr", "xt_recent", "xt_statistic"))
def deleted_pod(lab: Lab) -> DeletedPod:
    """I delete a pod: what do its clients see, with each of kube-proxy's modes?

    A cluster address with two pods for TCP and UDP, programmed on the node through which the client
    comes, as kube-proxy does in its modes iptables, nft and ipvs (shortened). One pod is deleted
    while a connection to it is open and a client keeps sending datagrams from one port; kube-proxy
    then deletes the entries of UDP. With session affinity clients come back to their pod; without
    any pod left, the service must refuse.
    """
    proxy, client = _start(lab)
    pod = client.tcp(40000)
    proxy.program(_without(pod))
    connection = client.tcp(40000, "PA", seq=1001)
    again = client.tcp(40000, seq=1_000_000)
    datagrams = _datagrams(lab)
    proxy, client = _start(lab, affinity=True)
    first = client.tcp(40000)
    affinity = ["first", *(_word(first, client.tcp(port)) for port in (40001, 40002, 40003))]
    proxy.program(_without(first))
    affinity += [_word(first, client.tcp(port)) for port in (40004, 40005)]
    proxy, client = _start(lab)
    proxy.program({"tcp": [], "udp": []})
    before = len(proxy.place.flows())
    none = [client.tcp(41000), client.udp(41000)]
    return DeletedPod(
        connection=_word(pod, connection),
        port_again=_word(pod, again),
        datagrams=datagrams,
        affinity=affinity,
        none_left=none,
        tracked=len(proxy.place.flows()) - before,
    )


class _Client:
    """A client of the services, on the near side of the node."""

    def __init__(self, router: Router) -> None:
        self._router = router

    def tcp(self, port: int, flags: str = "S", *, seq: int = 1000) -> str:
        """A segment: the pod that gets it, or what the client gets. A SYN that reaches a pod is
        answered, and that acknowledged.
        """
        found = self._send(
            tcp(f"10.0.1.2:{port}", f"{_ADDRESS}:80", flags, seq=seq, ack=5001 if "A" in flags else 0)
        )
        if flags == "S" and ":" in found:
            self._router.from_server(tcp(found, f"10.0.1.2:{port}", "SA", seq=5000, ack=seq + 1))
            self._send(tcp(f"10.0.1.2:{port}", f"{_ADDRESS}:80", "A", seq=seq + 1, ack=5001))
        return found

    def udp(self, port: int) -> str:
        """A datagram, likewise."""
        return self._send(udp(f"10.0.1.2:{port}", f"{_ADDRESS}:53"))

    def _send(self, packet: object) -> str:
        self._router.from_client(packet)
        if self._router.out:
            seen = parse(self._router.out[0])
            return f"{seen.dst}:{seen.dport}"
        back = [parse(data) for data in self._router.back]
        if any("TCP" in packet and "R" in str(packet["TCP"].flags) for packet in back if packet.proto == 6):
            return "reset"
        return "port unreachable" if back else LOST


def _start(lab: Lab, *, affinity: bool = False) -> tuple[_Proxy, _Client]:
    place = lab.new_namespace()
    router = place.router(states=False)
    proxy = _MODES[lab.variant["mode"]](place, affinity=affinity)
    proxy.program({protocol: list(pods) for protocol, pods in _PODS.items()})
    return proxy, _Client(router)


def _without(pod: str) -> dict[str, list[str]]:
    address = pod.split(":")[0]
    return {
        protocol: [other for other in pods if not other.startswith(f"{address}:")]
        for protocol, pods in _PODS.items()
    }


def _word(pod: str, found: str) -> str:
    """A pod, as that which was deleted or the other."""
    if ":" not in found:
        return found
    return "the deleted" if found.split(":")[0] == pod.split(":")[0] else "the other"


def _datagrams(lab: Lab) -> list[str]:
    proxy, client = _start(lab)
    pod = client.udp(40000)
    proxy.program(_without(pod))
    found = [_word(pod, client.udp(40000))]
    flow = proxy.place.flow("10.0.1.2:40000")
    if flow:
        proxy.place.conntrack.delete(flow)
    return [*found, _word(pod, client.udp(40000))]
