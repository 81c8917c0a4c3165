"""Scripts on one real kernel: what only a guest can show of how they run and end."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from matrix.plan.plan import Cell
from matrix.plan.project import Project
from matrix.report.page.packets import read_packets
from matrix.results.judge import Outcome, verdict
from matrix.results.record import Record, Status
from matrix.run.cell import Question, ask
from matrix.run.machines import Machines
from matrix.script.guests import ScriptGuests, ScriptTemplate, experiment_of, read_script
from matrix.script.script import Script, command_of
from tests.support.project import ROOT
from vms.hardware import Hardware
from vms.kernels.kernel import Kernel

pytestmark = pytest.mark.guest

SEED = """
ip link set lo up
ip tuntap add name tun0 mode tun
ip link set tun0 up
ip addr add 192.0.2.1 peer 192.0.2.2 dev tun0
iptables -t raw -A PREROUTING -j CT
tcpdump -ni any -c 1 tcp 2>captures &
until grep -q listening captures; do sleep 0.1; done
./venv/bin/python3 send.py
wait
conntrack -C
id -u
"""
SEND = """
from scapy.all import IP, TCP, TunTapInterface, send
tun = TunTapInterface("tun0", mode_tun=True)
tun.open()
send(IP(src="198.18.0.2", dst="192.0.2.1") / TCP(sport=10000, dport=80, flags="S"), verbose=False, socket=tun)
"""


@pytest.fixture(scope="module")
def kernel() -> Kernel:
    project = Project.open(ROOT)
    return project.select(project.specs(["6.12"])).kernels[0]


@pytest.fixture(scope="module")
def machines() -> Machines:
    return Machines(Project.open(ROOT))


def ran(machines: Machines, kernel: Kernel, script: Script) -> tuple[Record, dict[str, bytes]]:
    experiment, variant = experiment_of(script)
    guests = ScriptGuests(machines, {experiment.name: script}, read_script)
    template: ScriptTemplate = guests.template(machines.fetch(kernel), Hardware(cpus=script.cpus))
    outcome: Outcome = ask(template, Question("a script", experiment.name, variant, script.seconds))
    judged = verdict(Cell(kernel, experiment, variant), outcome, 1)
    assert judged.record.status in (Status.PASS, Status.TIMEOUT), judged.record.reason
    return judged.record, judged.evidence


def script(tmp_path: Path, text: str, *arguments: str, **fields: Any) -> Script:
    path = tmp_path / "a.sh"
    path.write_text(text)
    return Script("a.sh", (*command_of(path), *arguments), {path.name: path}, **fields)


def test_a_script_for_scapy_and_tcpdump_of_2020_runs_unchanged_in_a_users_namespace(
    machines: Machines, kernel: Kernel, tmp_path: Path
) -> None:
    (tmp_path / "send.py").write_text(SEND)
    given = script(tmp_path, SEED, user=True)
    files = {**given.files, "send.py": tmp_path / "send.py"}
    record, evidence = ran(machines, kernel, Script("a.sh", given.command, files, user=True))
    assert record.facts["exit_code"] == 0, evidence
    lines = evidence["output.txt"].decode().splitlines()
    assert "192.0.2.1.80: Flags [S]" in lines[0]
    assert lines[1:] == ["1", "0"]


def test_arguments_input_sysctls_and_the_log_reach_a_script_and_its_exit_code_the_host(
    machines: Machines, kernel: Kernel, tmp_path: Path
) -> None:
    text = "#!/bin/bash\necho $1; cat /dev/stdin; cat <(echo inner); uname -r\n"
    text += "cat /proc/sys/net/netfilter/nf_conntrack_max\n"
    text += (
        "echo bad >&2; echo 'from the script' >/dev/kmsg; date >when; chmod 600 beside; sleep 60 & exit 3\n"
    )
    (tmp_path / "beside").write_text("as it was")
    given = script(tmp_path, text, "x  y", stdin=b"input\n", sysctls={"net.netfilter.nf_conntrack_max": "77"})
    files = {**given.files, **dict.fromkeys(("beside", "untouched"), tmp_path / "beside")}
    record, evidence = ran(machines, kernel, replace(given, files=files))
    wrote = record.facts.pop("files")
    assert isinstance(wrote, list)
    assert [name.partition(":")[0] for name in wrote] == ["beside", "when"]
    assert evidence["file-beside.txt"] == b"as it was"
    assert record.facts == {
        "exit_code": 3,
        "ended": "by itself",
        "lines": {"x y": 1, "input": 1, "inner": 1, "77": 1, "<release>": 1},
        "errors": {"bad": 1},
        "kernel_log": ["from the script"],
    }


def test_a_capture_has_the_packets_from_the_first_to_the_last(
    machines: Machines, kernel: Kernel, tmp_path: Path
) -> None:
    text = "ip link set lo up\nfor port in 1001 1002 1003; do echo x >/dev/udp/127.0.0.1/$port; done\n"
    given = script(tmp_path, f"#!/bin/bash\n{text}", capture=True)
    _, evidence = ran(machines, kernel, given)
    packets, _ = read_packets(evidence["capture.pcap"])
    sent = dict.fromkeys(packet.destination for packet in packets if packet.protocol == "UDP")
    assert list(sent) == ["127.0.0.1:1001", "127.0.0.1:1002", "127.0.0.1:1003"]


@pytest.mark.parametrize(
    ("text", "ended"),
    [
        ("kill -TERM 1; sleep 60\n", "it ended the guest"),
        ("jq .\n", "a program is missing: jq"),
        ("#!/usr/bin/perl6\n", "a program is missing: /usr/bin/perl6"),
        ("kill -KILL $$\n", "SIGKILL"),
    ],
)
@pytest.mark.fault(
    phase="cell",
    fault="a user's script ends its guest or lacks a program",
    outcome="one message that says so; nothing is left",
)
def test_a_bad_script_ends_with_what_it_did(
    machines: Machines, kernel: Kernel, tmp_path: Path, text: str, ended: str
) -> None:
    record, _ = ran(machines, kernel, script(tmp_path, text))
    assert str(record.facts["ended"]).startswith(ended)


@pytest.mark.fault(phase="cell", fault="a user's script never ends", outcome="a timeout with its output")
def test_a_script_that_never_ends_is_a_timeout_with_its_output(
    machines: Machines, kernel: Kernel, tmp_path: Path
) -> None:
    record, evidence = ran(machines, kernel, script(tmp_path, "echo begun; sleep 1000\n", seconds=5.0))
    assert record.status is Status.TIMEOUT
    assert evidence["output.txt"] == b"begun\n"
