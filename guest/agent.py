"""The agent: answers the host's requests, one JSON line each, over the virtio-serial port named
`agent`.

An answer is a header, one line of JSON with the request's `id` and the number of `bytes` that
follow it, and then these bytes: JSON too, which the agent does not look at.

Started over SSH with `python3 -m guest.agent`. It loads all that cells will need, so that clones of
this guest have it in memory, and then moves to the background. The host's lines are untrusted too:
a line that is no request is ignored. Any line that arrives while a cell runs ends that cell.
"""

from __future__ import annotations

import fcntl
import gc
import json
import os
import select
import signal
import struct
import subprocess
import time
import traceback
from pathlib import Path
from typing import Any

from guest import catalogue, cell, linux
from guest.lab import nftables, rules
from guest.process import Asked

PORT = "/dev/virtio-ports/agent"
_TAINTED = Path("/proc/sys/kernel/tainted")
_MOST_REQUEST = 1 << 20
_WRITE_SECONDS = 60
_CHUNK = 32 << 10  # a virtio port accepts no more in one write
_NO_HOST_SECONDS = 0.005
_RNDADDENTROPY, _RNDRESEEDCRNG = 0x40085203, 0x5207

# Modules that cells use. Loading one under emulation costs 0.1 s and more, in a template only once.
# A module that the kernel lacks is skipped here: experiments that need it declare it.
_MODULES = (
    "tun", "nf_conntrack", "nf_conntrack_netlink", "nf_defrag_ipv4", "nf_defrag_ipv6", "nf_nat",
    "nf_tables", "nft_compat", "nft_ct",
    "nft_counter", "nft_nat", "nft_objref", "nft_chain_nat", "nft_masq", "nft_limit", "x_tables",
    "ip_tables", "ip6_tables", "iptable_raw",
    "iptable_mangle", "iptable_filter", "iptable_nat", "ip6table_raw", "ip6table_mangle", "ip6table_filter",
    "ip6table_nat", "xt_CT",
    "xt_conntrack", "xt_state", "xt_comment", "xt_tcpudp", "xt_mark", "xt_connmark", "xt_nat",
    "xt_MASQUERADE", "xt_NFQUEUE",
    "ipt_REJECT", "nf_reject_ipv4", "nfnetlink_queue",
)  # fmt: skip


class Port:
    """The agent's end of the port.

    If the host closes its end, the agent keeps listening for the next host.
    """

    def __init__(self, path: str) -> None:
        self._fd = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        self._poll = select.poll()
        self._poll.register(self._fd, select.POLLIN)
        self._buffer = b""

    def fileno(self) -> int:
        """Its file descriptor, which has something to read once the host sent more, or is gone."""
        return self._fd

    def line(self) -> bytes:
        """The next line that the host sends, without its end; waits without a limit."""
        while b"\n" not in self._buffer:
            # A blocking poll wakes at once in a clone. Only without a host (POLLHUP) poll returns
            # at once, so that sleeping is the only way to wait.
            self._poll.poll()
            try:
                data = os.read(self._fd, _CHUNK)
            except BlockingIOError:
                continue
            if not data:
                self._buffer = b""
                time.sleep(_NO_HOST_SECONDS)
            self._buffer += data
            if len(self._buffer) > _MOST_REQUEST:
                self._buffer = b""
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line

    def send(self, *parts: bytes) -> None:
        """Sends the parts of an answer in order; returns early if the host is gone or does not
        read.
        """
        poll = select.poll()
        poll.register(self._fd, select.POLLOUT)
        end = time.monotonic() + _WRITE_SECONDS
        for part in parts:
            data = memoryview(part)
            while data:
                ready = poll.poll(max(0.0, end - time.monotonic()) * 1000)
                if not ready or ready[0][1] & select.POLLHUP:
                    return
                try:
                    data = data[os.write(self._fd, data[:_CHUNK]) :]
                except BlockingIOError:
                    continue


def answer(line: bytes, cells: cell.Cells) -> tuple[bytes, bytes] | None:
    """Header and bytes of the answer to one line from the host; None if it is no request."""
    try:
        request = json.loads(line)
        identifier, do = str(request["id"]), request["do"]
    except (ValueError, KeyError, TypeError):
        return None
    try:
        _take_time_and_entropy(request)
        if do == "ping":
            ready = {"ready": True, "release": os.uname().release, "tainted": int(_TAINTED.read_text())}
            found = cell.Answer(json.dumps(ready).encode())
        elif do == "run":
            found = _run(request, cells)
        elif do == "settle":
            found = cell.Answer(json.dumps({"left": cells.settle()}).encode())
        else:
            found = _error(f"do={do} is none of ping, run and settle")
    except Exception:
        found = _error(traceback.format_exc())
    header = {"id": identifier, "bytes": len(found.whole), "printed": found.printed, "dmesg": found.dmesg}
    return json.dumps(header | {"seconds": found.seconds}).encode() + b"\n", found.whole


def _run(request: dict[str, Any], cells: cell.Cells) -> cell.Answer:
    name, variant = request["experiment"], request.get("variant", {})
    if "source" in request:
        source = catalogue.Source(**request["source"])
        modules = tuple(request["modules"])
        return cells.run(Asked(name, variant, float(request["seconds"]), modules, source))
    experiment = cells.experiments.get(name)
    if experiment is None:
        return _error(f"there is no experiment {name}")
    seconds = float(request.get("seconds", experiment.seconds))
    return cells.run(Asked(name, variant, seconds, experiment.modules))


def _error(reason: str) -> cell.Answer:
    return cell.Answer(cell.failure("error", reason))


def _take_time_and_entropy(request: dict[str, Any]) -> None:
    if "time" in request:
        time.clock_settime(time.CLOCK_REALTIME, float(request["time"]))
    if "entropy" in request:
        entropy = bytes.fromhex(request["entropy"])
        fd = os.open("/dev/urandom", os.O_WRONLY)
        try:
            fcntl.ioctl(fd, _RNDADDENTROPY, struct.pack("=ii", len(entropy) * 8, len(entropy)) + entropy)
            fcntl.ioctl(fd, _RNDRESEEDCRNG)
        finally:
            os.close(fd)


def _prepare() -> dict[str, catalogue.Experiment]:
    subprocess.run(["modprobe", "--all", "--quiet", *_MODULES], check=False, timeout=120)
    Path("/dev/net/tun").chmod(0o666)  # as udev would do; a guest has no udev
    # Evidence needs every line of the kernel's log, not ten in five seconds.
    Path("/proc/sys/net/core/message_cost").write_text("0")
    permission = Path("/proc/sys/kernel/unprivileged_userns_clone")
    if permission.exists():
        permission.write_text("1")
    nftables.load()
    rules.must_declare()
    import scapy.layers.inet
    import scapy.layers.inet6
    import scapy.layers.sctp  # noqa: F401  cells are forks of this process and find it loaded

    return catalogue.load(Path(__file__).parents[1] / "own")


def _go_to_background() -> None:
    if os.fork():
        os._exit(0)
    os.setsid()
    log = os.open("agent.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    null = os.open("/dev/null", os.O_RDONLY)
    os.dup2(null, 0)
    os.dup2(log, 1)
    os.dup2(log, 2)


def main() -> None:
    """Prepares, moves to the background and answers until the guest ends."""
    os.environ.update(PATH="/usr/sbin:/usr/bin:/sbin:/bin", LC_ALL="C")
    experiments = _prepare()
    port = Port(PORT)
    _go_to_background()
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    linux.outlive_others()
    cells = cell.Cells(experiments, port.fileno())
    gc.collect()
    gc.freeze()  # cells are forks: a collection must not touch, and so copy, pages of old objects
    cells.prepare()
    while True:
        reply = answer(port.line(), cells)
        if reply is not None:
            port.send(*reply)


if __name__ == "__main__":
    main()
