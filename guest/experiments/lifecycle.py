"""Beginnings and ends: namespaces that go away, tables that change their size."""

from __future__ import annotations

import threading

from guest.catalogue import Fact, FactDict, Invariant, experiment
from guest.lab import sysctls
from guest.lab.lab import Lab
from guest.lab.packets import tcp, udp, with_ports


@experiment(
    facts=[
        Fact(
            "held",
            bool,
            "whether the entries of a namespace are seen among the kernel's objects while it is there",
        ),
        Fact("freed", bool, "whether they are freed once the namespace is gone"),
        Fact("other_untouched", int, "flows of another namespace afterwards"),
    ],
    invariants=[
        Invariant(
            "a namespace that goes away takes its entries with it and leaves the others alone",
            lambda facts, variant: facts["held"] and facts["freed"] and facts["other_untouched"] == 1,
        )
    ],
    seconds=60.0,
)
def namespace_teardown(lab: Lab) -> FactDict:
    """Are a namespace's entries freed when the namespace goes?

    A namespace with 4,000 flows is abandoned: its tun is closed and nothing refers to it any more.
    The count of nf_conntrack objects in /proc/slabinfo shows whether the entries are gone; the
    kernel frees them in the background, within 30 s. Hosts that start and stop many containers
    depend on it.
    """

    def objects() -> int:
        lines = lab.root.read("/proc/slabinfo").splitlines()
        return next((int(line.split()[1]) for line in lines if line.startswith("nf_conntrack ")), 0)

    wire = lab.host()
    lab.iptables("*raw\n-A PREROUTING -j CT\n-A OUTPUT -p tcp --sport 80 -j DROP")
    wire.send(tcp("198.18.0.2:10000", "192.0.2.1:80"))
    before = objects()
    place = lab.new_namespace()
    other = place.host()
    place.track()
    other.flood(with_ports(udp("198.18.0.2:1", "192.0.2.1:81"), range(10000, 14000)))
    during = objects()
    other.close()
    place.close()
    freed = lab.until("the entries are freed", lambda: objects() < before + 1000, 30.0)
    lab.journal.note(f"nf_conntrack objects: {before} before, {during} with the namespace, {objects()} after")
    return {"held": during >= before + 4000 - 1000, "freed": freed, "other_untouched": len(lab.flows())}


@experiment(
    facts=[
        Fact(
            "sizes",
            list,
            "what the kernel makes of each number of buckets that is written while packets arrive",
        ),
        Fact("all_there", bool, "whether every flow is in the table after each change"),
        Fact(
            "found_again",
            bool,
            "whether retransmissions after each change find their flows instead of making new ones",
        ),
        Fact("insert_failed", int, "flows that could not be put into the table during that"),
    ],
    invariants=[
        Invariant(
            "no flow is lost, doubled or refused while the table is resized",
            lambda facts, variant: (
                facts["all_there"] and facts["found_again"] and facts["insert_failed"] == 0
            ),
        )
    ],
    seconds=60.0,
)
def hash_resize_under_load(lab: Lab) -> FactDict:
    """Is a flow ever lost or doubled when the hash table is resized while packets arrive?

    1,000 UDP flows; then the number of buckets, which belongs to the whole machine, is set to 8192,
    256 and 4096 while another thread sends every flow's packet again and again. The size before and
    after is the default for the guest's memory.
    """
    wire = lab.host()
    lab.iptables("*raw\n-A PREROUTING -j CT")
    lab.sysctl("net/ipv4/icmp_ratelimit", 0)
    packets = with_ports(udp("198.18.0.2:1", "192.0.2.1:9"), range(10000, 11000))
    wire.flood(packets)
    start = len(lab.flows())
    failed = lab.statistics()["insert_failed"]
    stop = threading.Event()

    def load() -> None:
        while not stop.is_set():
            wire.flood(packets)
            wire.read()

    sizes, all_there, found_again = [], start == len(packets), True
    sender = threading.Thread(target=load)
    sender.start()
    try:
        for wanted in (8192, 256, 4096):
            lab.root.sysctl(sysctls.BUCKETS, wanted)
            sizes.append(f"{wanted}: {lab.root.read(f'/proc/sys/{sysctls.BUCKETS}').strip()}")
            found = len(lab.flows())
            all_there &= found == len(packets)
            found_again &= found <= len(packets)
    finally:
        stop.set()
        sender.join()
    return {
        "sizes": sizes,
        "all_there": all_there,
        "found_again": found_again and len(lab.flows()) == len(packets),
        "insert_failed": lab.statistics()["insert_failed"] - failed,
    }
