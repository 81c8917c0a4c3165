from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import CookedLinuxV2
from scapy.utils import RawPcapReader

from guest.netlink import Malformed
from guest.observe.kmsg import Log, message
from guest.observe.nft_counters import parse_counter
from guest.observe.pcap import Captured, pcap
from guest.observe.proc import parse_netstat


def test_a_line_of_the_kernels_log_is_read_without_its_timestamp(kernel: dict[str, Any]) -> None:
    assert message(kernel["kmsg"]) == "nf_conntrack: table full, dropping packet"


def test_continuation_lines_of_the_kernels_log_are_dropped() -> None:
    assert message("6,1,2,-;tun: one\n SUBSYSTEM=net\n") == "tun: one"


def test_the_kernels_log_has_the_lines_since_it_was_opened(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("6,1,1,-;before\n")
    log = Log(str(path))
    for line in ("4,2,2,-;after\n", "4,3,3,-;later\n"):
        with path.open("a") as stream:
            stream.write(line)
        log.lines()
    assert log.lines() == ["after", "later"]
    log.close()


def test_netstat_pairs_names_and_values(kernel: dict[str, Any]) -> None:
    statistics = parse_netstat(kernel["netstat"])
    assert statistics["SyncookiesSent"] == 0
    assert statistics["Forwarding"] == 1


@pytest.mark.parametrize("value", ["x", "9" * 5_000], ids=["word", "long"])
def test_a_value_of_netstat_that_is_no_number_is_malformed(value: str) -> None:
    with pytest.raises(Malformed, match="is no number"):
        parse_netstat(f"Ip: Forwarding\nIp: {value}\n")


def test_a_message_without_a_named_counter_is_malformed() -> None:
    with pytest.raises(Malformed, match="no named counter in 00000000"):
        parse_counter(bytes(4))


def test_capture_opens_with_interface_and_direction(tmp_path: Path) -> None:
    datagram = bytes(IP(src="10.0.1.2", dst="10.0.2.2") / UDP(sport=1, dport=2))
    path = tmp_path / "capture.pcap"
    path.write_bytes(
        pcap([Captured(1764000000.5, 3, True, datagram), Captured(1764000001.0, 4, False, datagram)])
    )
    with RawPcapReader(str(path)) as reader:
        assert reader.linktype == 276
        packets = [CookedLinuxV2(data) for data, _ in reader]
    assert [(packet.ifindex, packet.pkttype) for packet in packets] == [(3, 0), (4, 4)]
    assert packets[0][IP].src == "10.0.1.2"


def test_capture_of_a_bridge_port_keeps_the_sender(tmp_path: Path) -> None:
    frame = bytes.fromhex("020000000002020000000001") + b"\x08\x06" + b"\0" * 28
    path = tmp_path / "capture.pcap"
    path.write_bytes(pcap([Captured(1.0, 5, True, frame, ethernet=True)]))
    with RawPcapReader(str(path)) as reader:
        ((data, _),) = reader
    packet = CookedLinuxV2(data)
    assert (packet.proto, packet.lladdrlen, bytes(data[12:18]).hex()) == (0x0806, 6, "020000000001")
