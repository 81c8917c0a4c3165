from __future__ import annotations

import re

import pytest

from matrix.script.normal import normalised


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (" 00:00:00.009236 tun0  In  IP 198.18.0.2.10000", " <time> tun0  In  IP 198.18.0.2.10000"),
        ("2026-11-27T05:49:44.123Z done", "<time> done"),
        ("Fri Nov 27 05:49:44 UTC", "Fri Nov 27 <time> UTC"),
        ("[   12.345678] nf_conntrack: table full", "[<time>] nf_conntrack: table full"),
        ("took 1.25 s, 31 ms", "took <number> s, <number> ms"),
        ("timeout 300 s", "timeout 300 s"),
        ("link/ether 9a:02:c3:de:11:01 brd ff:ff:ff:ff:ff:ff", "link/ether <mac> brd <mac>"),
        ("IP6 fe80::fa1a:7e95:55bb:ca22 > ff02::2", "IP6 <link-local> > ff02::2"),
        ("table full in netns 4026532314, dropping", "table full in netns <namespace>, dropping"),
        ("at 0xffff8881012340c0", "at <address>"),
        ("ffff8881012340c0: nft_do_chain", "<address>: nft_do_chain"),
        ("1234567890123456 packets", "1234567890123456 packets"),
        ("/tmp/tmp.Xa9cR2kQ01/log", "/tmp/tmp.<random>/log"),
        ("/tmp/tmpfs", "/tmp/tmpfs"),
        ("pid 4711 pid=42 process 7", "pid <pid> pid=<pid> process <pid>"),
        ("a.bash: line 26:   438 Terminated  tcpdump", "a.bash: line 26: <pid> Terminated  tcpdump"),
        ("[1] 438", "[1] <pid>"),
        ("Linux 6.12.118+deb13-cloud-amd64 x", "Linux <release> x"),
        (
            "tcp      6 116 SYN_SENT src=198.18.0.2 dst=192.0.2.1",
            "tcp      6 <=120 SYN_SENT src=198.18.0.2 dst=192.0.2.1",
        ),
        ("ipv4     2 udp      17 29 src=192.0.2.1", "ipv4     2 udp      17 <=30 src=192.0.2.1"),
        ("      10      400 CT   all  --  *", "      10      400 CT   all  --  *"),
    ],
)
def test_what_changes_from_run_to_run_is_replaced_and_the_rest_is_kept(line: str, expected: str) -> None:
    assert normalised(line, "6.12.118+deb13-cloud-amd64") == expected


def test_a_part_that_the_user_ignores_is_replaced() -> None:
    assert normalised("port 4711 open", "", [re.compile(r"port \d+")]) == "… open"
