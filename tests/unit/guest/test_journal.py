from __future__ import annotations

import base64

from guest.lab import journal
from guest.lab.journal import Journal
from guest.observe.ctnetlink import Flow, Tuple
from guest.observe.pcap import Captured

FLOW = Flow(Tuple("10.0.1.2", "10.0.2.2", 17, 1, 2), Tuple("10.0.2.2", "10.0.1.2", 17, 2, 1))


def test_a_journal_without_entries_leaves_no_file() -> None:
    assert Journal().evidence() == {}


def test_each_reading_of_the_table_is_a_section_of_its_file() -> None:
    kept = Journal()
    kept.table([FLOW])
    kept.table([])
    kept.counters(("iptables-legacy-save", "-c"), "*raw\nCOMMIT\n")
    kept.note("drawn: 3")
    files = kept.evidence()
    assert "1 flows\nudp 17" in files["conntrack.txt"]["text"]
    assert "0 flows" in files["conntrack.txt"]["text"]
    assert files["counters.txt"]["text"].endswith("iptables-legacy-save -c\n*raw\nCOMMIT\n")
    assert files["notes.txt"]["text"].endswith("drawn: 3\n")


def test_packets_become_a_capture() -> None:
    kept = Journal()
    kept.packet(Captured(1.0, 2, True, b"\x45" + b"\0" * 19))
    assert base64.b64decode(kept.evidence()["capture.pcap"]["base64"])[:4] == b"\x4d\x3c\xb2\xa1"


def test_a_journal_keeps_a_bounded_number_of_packets_and_flows() -> None:
    kept = Journal()
    for _ in range(journal._MOST_PACKETS + 10):
        kept.packet(Captured(1.0, 2, True, b"x"))
    assert len(kept._packets) == journal._MOST_PACKETS
    kept.table([FLOW] * (journal._MOST_FLOWS + 5))
    assert "... and 5 more" in kept.evidence()["conntrack.txt"]["text"]
