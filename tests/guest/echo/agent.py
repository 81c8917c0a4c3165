"""Answers on the agent port: `ping`; `random`, what the kernel's pool of random numbers gives;
`release`, the kernel's; `sleep`, never.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path


def main() -> None:
    """Goes into the background and answers for ever."""
    if os.fork():
        os._exit(0)
    os.setsid()
    null = os.open("/dev/null", os.O_RDWR)
    for descriptor in range(3):
        os.dup2(null, descriptor)
    port = os.open("/dev/virtio-ports/agent", os.O_RDWR)
    heard = b""
    while True:
        data = os.read(port, 65536)
        if not data:
            time.sleep(0.005)
        heard += data
        *lines, heard = heard.split(b"\n")
        for line in lines:
            request = json.loads(line)
            if request["do"] != "sleep":
                answer = {"ready": True, "random": os.urandom(16).hex(), "release": os.uname().release}
                answer["tainted"] = int(Path("/proc/sys/kernel/tainted").read_text())
                whole = json.dumps(answer).encode()
                header = json.dumps({"id": request["id"], "bytes": len(whole)}).encode()
                os.write(port, header + b"\n" + whole)


main()
