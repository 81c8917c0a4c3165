"""Runs that no kernel ever gave, for what must be tried at a size or with a malice that real runs
do not have.
"""

from __future__ import annotations

import base64
import random
import struct
from collections.abc import Iterator
from pathlib import Path

from guest.catalogue import Experiment, Fact, FactDict, Invariant
from matrix.analysis.compare import compare_cells, neighbours
from matrix.analysis.ledger.model import Change, Commit, Confirmed, Ledger
from matrix.analysis.table import Table
from matrix.results.manifest import KernelEntry, Manifest, Surroundings
from matrix.results.record import FactValue, Record, Status

SERIES = ("5.10", "5.15", "6.1", "6.6", "6.12", "6.17", "6.18", "6.19", "7.2", "7.3")
TOPICS = ("tcp", "table", "nat", "udp", "icmp", "namespaces", "helpers", "counters", "events", "fragments")
_WORDS = (
    *("reset", "window", "overshoot", "reuse", "close", "segment", "flood", "listener"),
    *("zone", "range", "expectation", "fragment", "timeout", "assured", "stale", "label"),
)


def kernels(count: int) -> tuple[KernelEntry, ...]:
    """So many kernels, an equal share of each series."""
    share = -(-count // len(SERIES))
    made = []
    for series in SERIES:
        for build in range(share):
            release = f"{series}.{10 + build * 7}"
            made.append(
                KernelEntry(
                    release,
                    f"debian:{release}+deb-cloud-amd64={release}-1",
                    series,
                    release,
                    "cloud",
                    f"{release}-1",
                    "trixie",
                    f"{release}+deb-cloud-amd64",
                )
            )
    return tuple(made[:count])


def manifest(entries: tuple[KernelEntry, ...], experiments: tuple[str, ...]) -> Manifest:
    """A finished run of these."""
    around = Surroundings(
        "1" * 64, "2" * 64, "QEMU 7.2.22", "tcg", "/dev/kvm boots no kernel", "a synthetic CPU"
    )
    command = ("matrix",)
    return Manifest(
        "2026-11-25-0900",
        "3" * 64,
        "2026-11-25T09:00:00+00:00",
        command,
        2,
        experiments,
        entries,
        around,
        "2026-11-25T09:31:00+00:00",
    )


def experiments(count: int) -> dict[str, Experiment]:
    """So many experiments of five facts each, spread over the topics."""
    chance = random.Random(1)
    made = {}
    for number in range(count):
        topic = TOPICS[number * len(TOPICS) // count]
        name = f"{topic}-{'-'.join(chance.sample(_WORDS, 2))}-{number}"
        made[name] = Experiment(
            name=name,
            topic=topic,
            question=f"Does {name.replace('-', ' ')} do what it did?",
            doc=(
                f"Does {name.replace('-', ' ')} do what it did?\n\nMade for a measurement; no kernel was"
                " asked."
            ),
            run=_never,
            facts=(
                Fact("packets", int, "packets that were sent"),
                Fact("flows", int, "flows in the table afterwards"),
                Fact("states", dict, "how many flows are in each state"),
                Fact("verdict", str, "what became of the last packet"),
                Fact("invalid", bool, "whether a packet was INVALID"),
            ),
            invariants=(Invariant("packets are ten", lambda facts, variant: bool(facts["packets"] == 10)),),
            variants={},
            modules=(),
            seconds=30,
            cpus=1,
        )
    return made


def ledger(table: Table) -> Ledger:
    """A ledger that explains every change of every third row, says of every third's what is not so,
    and nothing of the others.
    """
    commits, changes = {}, []
    for number, row in enumerate(table.rows):
        for _, column, before, after in neighbours(row.records):
            if number % 3 == 2 or not (before.facts and after.facts):
                continue
            build = table.kernels[column]
            key = f"{row.experiment}-{build.name}"
            for difference in compare_cells(before, after):
                if not difference.kind.is_change:
                    continue
                title = f"netfilter: conntrack: do otherwise what {row.experiment} sees"
                commits[key] = Commit(
                    key,
                    title,
                    Confirmed.CHANGELOG,
                    "Flows are counted otherwise.",
                    "0123456789ab",
                    build.release,
                )
                told = difference.after if number % 3 == 0 else "something else"
                changes.append(
                    Change(
                        row.experiment, commits[key], difference.fact, before=difference.before, after=told
                    )
                )
    return Ledger(
        commits, tuple(changes), {kernel.series: f"{kernel.series}.9999" for kernel in table.kernels}
    )


def records(entries: tuple[KernelEntry, ...], names: tuple[str, ...]) -> Iterator[Record]:
    """Rows as they are: most never change, some change once, some were fixed, broken and fixed
    again, a few do not answer.
    """
    chance = random.Random(2)
    for name in names:
        kind = chance.choices(("same", "once", "thrice", "many"), (60, 22, 14, 4))[0]
        breaks = sorted(
            chance.sample(range(1, len(entries)), {"same": 0, "once": 1, "thrice": 3, "many": 9}[kind])
        )
        for column, entry in enumerate(entries):
            behaviour = sum(column >= place for place in breaks)
            behaviour = behaviour % 2 if kind == "thrice" else behaviour
            yield _record(entry.name, name, behaviour, chance)


def _record(kernel: str, name: str, behaviour: int, chance: random.Random) -> Record:
    status = chance.choices(
        (None, Status.UNSUPPORTED, Status.ERROR, Status.UNSTABLE, Status.CRASH, Status.TIMEOUT),
        (1000, 4, 3, 3, 1, 1),
    )[0]
    evidence = ("capture.pcap", "conntrack.txt", "counters.txt")
    if status is not None and status is not Status.UNSTABLE:
        return Record(
            kernel, name, {}, status, {}, "modprobe: FATAL: Module nf_conntrack_synthetic not found", 0.4, ()
        )
    flows = 10 - behaviour
    facts: dict[str, FactValue] = {
        "packets": 10,
        "flows": flows,
        "states": {"SYN_SENT": flows},
        "verdict": "dropped" if behaviour else "accepted",
        "invalid": bool(behaviour),
    }
    broken = behaviour > 0 and hash_of(name) % 3 == 0
    reason = "does not hold: packets are ten" if broken else ""
    return Record(
        kernel,
        name,
        {},
        status or (Status.FAIL if broken else Status.PASS),
        facts,
        reason,
        round(chance.uniform(0.2, 2), 2),
        evidence,
    )


def hash_of(text: str) -> int:
    """A number that is the same in every process."""
    return sum(text.encode())


def write_evidence(run: Path, record: Record) -> None:
    """The files that a record names, where a run keeps them."""
    directory = run / "cells" / record.kernel / record.experiment
    directory.mkdir(parents=True, exist_ok=True)
    files = content(record)
    for name in record.evidence:
        (directory / name).write_bytes(files[name])


def content(record: Record) -> dict[str, bytes]:
    """Evidence of a record, of the size that real evidence has."""
    flows = record.facts.get("flows", 0)
    dump = "".join(
        f"tcp      6 {100 + number} SYN_SENT src=198.18.0.2 dst=192.0.2.1 sport={10000 + number} dport=80"
        f" [UNREPLIED] src=192.0.2.1 dst=198.18.0.2 sport=80 dport={10000 + number} mark=0 use=1\n"
        for number in range(flows if isinstance(flows, int) else 0)
    )
    rules = "*raw\n:PREROUTING ACCEPT [0:0]\n[10:400] -A PREROUTING -j CT\nCOMMIT\n"
    return {
        "conntrack.txt": dump.encode(),
        "counters.txt": f"{rules}# {record.kernel}\n".encode(),
        "capture.pcap": capture(10),
    }


def capture(count: int) -> bytes:
    """A pcap file (raw IP) of so many SYNs, from ports 10000 on."""
    out = [struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 101)]
    for number in range(count):
        packet = base64.b16decode("4500002800010000400600 00C6120002C0000201".replace(" ", "")) + struct.pack(
            ">HHIIBBHHH", 10000 + number, 80, 1000, 0, 0x50, 0x02, 8192, 0, 0
        )
        out.append(struct.pack("<IIII", 1_795_000_000, number * 1000, len(packet), len(packet)) + packet)
    return b"".join(out)


def _never(_: object) -> FactDict:
    raise AssertionError("a synthetic experiment is never run")
