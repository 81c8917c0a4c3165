"""An experiment that leaves something of every kind in the guest's initial namespaces, and one that
looks whether it finds anything there.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from guest import linux
from guest.catalogue import Fact, FactDict, experiment
from guest.lab.lab import Lab

_INITIAL = Path("/proc/1/ns")


def _enter(name: str, kind: int) -> None:
    with (_INITIAL / name).open() as namespace:
        linux.setns(namespace.fileno(), kind)


def _in_the_initial_network(*command: str) -> None:
    _enter("net", linux.CLONE_NEWNET)
    subprocess.run(command, check=True)


def _sysctl() -> None:
    Path("/proc/sys/kernel/panic").write_text("17")


def _parameter() -> None:
    Path("/sys/module/printk/parameters/time").write_text("N")


def _nft_rule() -> None:
    _in_the_initial_network("nft", "add", "table", "ip", "left")


def _legacy_rule() -> None:
    _in_the_initial_network("iptables-legacy", "-t", "raw", "-A", "PREROUTING", "-j", "DROP")


def _full_table() -> None:
    _enter("net", linux.CLONE_NEWNET)
    for port in range(10_000, 10_050):
        entry = f"-I -s 10.0.0.1 -d 10.0.0.2 -p udp --sport {port} --dport 53 -t 600"
        subprocess.run(["conntrack", *entry.split()], check=True, stdout=subprocess.DEVNULL)


def _interface() -> None:
    _in_the_initial_network("ip", "link", "set", "lo", "down")


def _process() -> None:
    # What the kernel itself starts is in no namespace of the cell.
    pattern = Path("/proc/sys/kernel/core_pattern")
    before = pattern.read_text()
    pattern.write_text("|/usr/bin/sleep 600")
    if os.fork() == 0:
        os.abort()
    while "sleep\n" not in _names_of_processes():
        time.sleep(0.01)
    pattern.write_text(before)


def _names_of_processes() -> list[str]:
    names = []
    for path in Path("/proc").glob("[0-9]*/comm"):
        with suppress(FileNotFoundError, ProcessLookupError):  # it has ended since
            names.append(path.read_text())
    return names


def _mount() -> None:
    _enter("mnt", linux.CLONE_NEWNS)
    subprocess.run(["mount", "-t", "tmpfs", "left", "/mnt"], check=True)


def _network_namespace() -> None:
    _enter("mnt", linux.CLONE_NEWNS)
    Path("/run/left").touch()
    subprocess.run(["mount", "--bind", "/proc/self/ns/net", "/run/left"], check=True)


def _file() -> None:
    Path("/run/left").write_text("left")


def _taint() -> None:
    Path("/proc/sys/kernel/tainted").write_text("512")


def _memory() -> None:
    Path("/dev/shm/left").write_bytes(bytes(160 << 20))


_KINDS: dict[str, Callable[[], None]] = {
    "nothing": lambda: None,
    "sysctl": _sysctl,
    "parameter": _parameter,
    "nft-rule": _nft_rule,
    "legacy-rule": _legacy_rule,
    "full-table": _full_table,
    "interface": _interface,
    "process": _process,
    "mount": _mount,
    "network-namespace": _network_namespace,
    "file": _file,
    "taint": _taint,
    "memory": _memory,
}


@experiment(facts=[Fact("left", bool, "always true")], variants={"kind": list(_KINDS), "scope": ("root",)})
def leaving(lab: Lab) -> FactDict:
    """Is it noticed what a cell leaves behind?"""
    _KINDS[lab.variant["kind"]]()
    return {"left": True}


@experiment(facts=[Fact("modules", int, "always 1")], variants={"scope": ("root",)})
def tidied(lab: Lab) -> FactDict:
    """Is undone what a cell asks its root for, a temporary file, and a module that a rule loads?"""
    lab.root.sysctl("net/netfilter/nf_conntrack_max", 7)
    lab.root.modprobe("dummy")
    Path("/tmp/left").write_text("left")
    lab.nft("table ip t { chain c { quota over 1 bytes drop; }; }")
    return {"modules": 1}
