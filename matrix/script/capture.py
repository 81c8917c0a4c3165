"""Captures the packets of a guest's initial namespace while a script runs."""

from __future__ import annotations

from matrix.script.script import PLACE
from vms.deadline import Deadline
from vms.ssh import Ssh

FILE = "capture.pcap"
MOST_BYTES = 8 << 20
"""What a capture has at most; then it ends."""

# A file cannot grow beyond ulimit -f, which counts blocks of 512 bytes: then tcpdump ends.
_START = """\
cd {place} || exit
ulimit -c 0 -f {blocks}
setsid /usr/bin/tcpdump -Z root -i any -n -U --immediate-mode -w {file} >capture.log 2>&1 </dev/null &
until grep -qs 'listening on' capture.log
do kill -0 $! || {{ cat capture.log; exit 1; }}; sleep 0.02
done
echo $! >capture.pid
"""
# As long as it runs, it has packets to write; but a guest may send without end.
_STOP = """\
pid=$(cat {place}/capture.pid)
for _ in $(seq 50)
do grep -qs '^State:.S' /proc/$pid/status && break; sleep 0.02
done
kill -INT $pid
while kill -0 $pid
do sleep 0.02
done
"""


def start_capture(ssh: Ssh, deadline: Deadline) -> str:
    """Starts to capture what passes any interface. Returns tcpdump's words if it cannot."""
    command = _START.format(place=PLACE, blocks=MOST_BYTES // 512, file=FILE)
    done = ssh.run(command, deadline)
    return done.output.strip() if done.status else ""


def stop_capture(ssh: Ssh, deadline: Deadline) -> bytes:
    """Ends the capture, and returns it as a pcap file."""
    ssh.run(f"{{ {_STOP.format(place=PLACE)}}} 2>/dev/null", deadline)
    return ssh.pull(f"{PLACE}/{FILE}", MOST_BYTES, deadline)
