"""Collects a cell's evidence: its packets, its table over time, its counters, and notes.

Its size is bounded, however much an experiment sends or notes.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Iterable

from guest.observe.ctnetlink import Flow
from guest.observe.pcap import Captured, pcap

_MOST_PACKETS = 5000
_MOST_FLOWS = 2000
_MOST_TEXT = 1 << 20

Evidence = dict[str, dict[str, str]]


class Journal:
    """Collects evidence while an experiment runs."""

    def __init__(self) -> None:
        self._start = time.monotonic()
        self._packets: list[Captured] = []
        self._table: list[str] = []
        self._counters: list[str] = []
        self._notes: list[str] = []

    def packet(self, packet: Captured) -> None:
        """Keeps one packet that passed a tun, up to a limit."""
        if len(self._packets) < _MOST_PACKETS:
            self._packets.append(packet)

    def table(self, flows: list[Flow]) -> None:
        """Keeps one reading of the table."""
        lines = [str(flow) for flow in flows[:_MOST_FLOWS]]
        if len(flows) > _MOST_FLOWS:
            lines.append(f"... and {len(flows) - _MOST_FLOWS} more")
        self._table.append("\n".join([f"# {self._stamp()}: {len(flows)} flows", *lines]) + "\n")

    def counters(self, command: Iterable[str], text: str) -> None:
        """Keeps one listing of rules with their counters."""
        self._counters.append(f"# {self._stamp()}: {' '.join(command)}\n{text}")

    def note(self, text: str) -> None:
        """Keeps one line of text from the experiment."""
        self._notes.append(f"{self._stamp()}: {text}\n")

    @property
    def has_table(self) -> bool:
        """Whether the table was read."""
        return bool(self._table)

    @property
    def has_counters(self) -> bool:
        """Whether counters were read."""
        return bool(self._counters)

    def evidence(self) -> Evidence:
        """The files of evidence, by name; empty ones are left out."""
        texts = {"conntrack.txt": self._table, "counters.txt": self._counters, "notes.txt": self._notes}
        files: Evidence = {
            name: {"text": "".join(parts)[:_MOST_TEXT]} for name, parts in texts.items() if parts
        }
        if self._packets:
            files["capture.pcap"] = {"base64": base64.b64encode(pcap(self._packets)).decode()}
        return files

    def _stamp(self) -> str:
        return f"{time.monotonic() - self._start:.3f} s"
