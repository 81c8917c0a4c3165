"""Stands in for qemu-system-x86_64: QMP, an agent port, a console, and every way to fail.

$FAKE_QEMU holds its modes, words in any order:

exit        ends at once with status 1 and a message
verbose     a MiB of other messages comes before that one
nokvm       the same if it shall use KVM
deaf        opens no socket at all
mute        takes QMP commands and answers query-status only
refuse      refuses to migrate
noclone     a clone ends as soon as it gets its state
panic       its kernel panics at the first request, and it ends
babble      the console prints 9 MiB
wedged      its kernel panics at the first request, and nothing more happens
hang        the agent never answers
gone        so it does, and has closed its port
flood       the agent answers without end
stale       the agent says other things first
long, short, huge, negative, word, true, none
            the agent announces bytes wrongly
sigbus      ends as for a memory file without room
warns       its kernel warns while it boots
userspace   the console says that user space was reached
old         its --version is too old
broken      its --version fails
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

MODES = set(os.environ.get("FAKE_QEMU", "").split())
RUNNING = threading.Event()
WARNING = Path(__file__).parents[2] / "fixtures" / "splats" / "6.1-warning.txt"
STALE = b'{"id": "7", "bytes": 2}\n{}'  # looks like an answer, and is part of one
ANSWERS: dict[str, object] = {
    "query-migrate": {"status": "completed"},
    "query-chardev": [
        {"label": "ssh", "frontend-open": True},
        {"label": "agent", "frontend-open": "gone" not in MODES},
    ],
}
LIES: dict[str, object] = {
    "long": 1000,
    "short": 3,
    "huge": 1 << 40,
    "negative": -1,
    "word": "many",
    "true": True,
    "none": None,
}


def option(pattern: str) -> str:
    """The first match of the pattern in the command line."""
    found = re.search(pattern, " ".join(sys.argv))
    return found[1] if found else ""


def listen(name: str) -> socket.socket:
    """A listening socket at the path the command line gives it."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(option(rf"socket,id={name},path=([^, ]*)"))
    listener.listen(1)
    return listener


def console(text: str) -> None:
    """Prints on the guest's console."""
    with Path(option(r"file,id=console,path=([^, ]*)")).open("a") as file:
        file.write(text)


def babble() -> None:
    """Prints a warning or 9 MiB if it shall, and goes on when no more can be written, as QEMU
    does.
    """
    if "warns" in MODES and "-incoming" not in sys.argv:
        console(WARNING.read_text())
    line = b"Linux says the same again and again\n"
    with (
        Path(option(r"file,id=console,path=([^, ]*)")).open("ab", buffering=0) as file,
        contextlib.suppress(OSError),
    ):
        while "babble" in MODES and file.tell() < 9 << 20:
            file.write(line * 1000)


def agent(listener: socket.socket) -> None:
    """Answers each request with its id."""
    connection, _ = listener.accept()
    RUNNING.wait()
    with connection, connection.makefile("rb") as lines:
        for line in lines:
            if "panic" in MODES:
                console(
                    "[   12.5] BUG: kernel NULL pointer dereference\n[   12.6] Kernel panic - not syncing:"
                    " Fatal exception\n"
                )
                os._exit(0)
            if "poweroff" in MODES:
                os._exit(0)
            if "wedged" in MODES:
                console("[   12.6] Kernel panic - not syncing: Fatal exception\n")
            if MODES & {"hang", "gone", "wedged"}:
                continue
            if "flood" in MODES:
                while True:
                    connection.sendall(b"x" * 65536)
            if "stale" in MODES:
                connection.sendall(b'garbage\n[1]\n{"id": "of another request"}\n')
                connection.sendall(header("of another request", len(STALE)) + STALE)
            identifier = json.loads(line)["id"]
            tainted = {"tainted": 512} if "warns" in MODES else {}
            whole = json.dumps({"ready": True, "asked": identifier} | tainted).encode()
            announced = {name: value for name, value in LIES.items() if name in MODES}
            size = next(iter(announced.values()), len(whole))
            connection.sendall(header(identifier, size) + whole)


def header(identifier: str, size: object) -> bytes:
    """The line before the bytes of an answer."""
    return json.dumps({"id": identifier, "bytes": size}).encode() + b"\n"


def migrate(path: str) -> None:
    """Writes the state of the devices."""
    with socket.socket(socket.AF_UNIX) as to:
        to.connect(path)
        to.sendall(b"state of " + str(os.getpid()).encode())


def incoming(path: str) -> None:
    """Takes the state of the devices."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen(1)
        threading.Thread(target=receive, args=(listener.dup(),), daemon=True).start()


def receive(listener: socket.socket) -> None:
    """Starts the clone once its state is there."""
    connection, _ = listener.accept()
    with connection:
        while connection.recv(65536):
            pass
    if "noclone" in MODES:
        print("qemu: load of migration failed", file=sys.stderr, flush=True)
        os._exit(1)
    RUNNING.set()


def qmp(listener: socket.socket) -> None:
    """Serves the monitor."""
    connection, _ = listener.accept()
    with connection:
        say(
            connection,
            {
                "QMP": {
                    "version": {"qemu": {"major": 7, "minor": 2, "micro": 22}, "package": ""},
                    "capabilities": [],
                }
            },
        )
        for command in objects(connection):
            name, arguments = command["execute"], command.get("arguments", {})
            same_id = {"id": command["id"]} if "id" in command else {}
            if "mute" in MODES and name not in ("qmp_capabilities", "query-status"):
                continue
            if "refuse" in MODES and name == "migrate":
                say(
                    connection,
                    {"error": {"class": "GenericError", "desc": "a device is unmigratable"}, **same_id},
                )
                continue
            if name == "migrate":
                migrate(arguments["uri"].removeprefix("unix:"))
            if name == "migrate-incoming":
                incoming(arguments["uri"].removeprefix("unix:"))
            say(connection, {"return": ANSWERS.get(name, {}), **same_id})


def objects(connection: socket.socket) -> Iterator[dict[str, Any]]:
    """The JSON objects that arrive. QMP has no separators between them."""
    text = ""
    while data := connection.recv(65536):
        text += data.decode()
        while text:
            try:
                command, end = json.JSONDecoder().raw_decode(text)
            except ValueError:
                break
            text = text[end:].lstrip()
            yield command


def say(connection: socket.socket, message: object) -> None:
    """Sends one line of JSON."""
    connection.sendall(json.dumps(message).encode() + b"\r\n")


def refuse() -> None:
    """Ends with a message if it shall."""
    if "nokvm" in MODES and option("-accel (kvm)"):
        print("qemu: failed to initialize kvm: No such file or directory", file=sys.stderr)
        sys.exit(1)
    if "exit" in MODES:
        print("x" * (1 << 20) if "verbose" in MODES else "", file=sys.stderr)
        print("qemu: could not open 'nothing': No such file or directory", file=sys.stderr)
        sys.exit(1)


def main() -> None:
    """Runs the modes named in $FAKE_QEMU."""
    if "--version" in sys.argv:
        if "broken" in MODES:
            print("error while loading shared libraries: libglib-2.0.so.0", file=sys.stderr)
            sys.exit(127)
        print(
            f"QEMU emulator version {'5.1.0' if 'old' in MODES else '7.2.22'} (fake"
            f" {os.environ.get('FAKE_QEMU_BUILD', '1')})"
        )
        return
    if "q35,help" in sys.argv:
        print("q35 options:\n  hpet=<bool> - A timer\n  sata=<bool>\n  i8042=<bool>\nusb unlike=this")
        return
    refuse()
    if "sigbus" in MODES:
        os.kill(os.getpid(), signal.SIGBUS)
    memory = option(r"mem-path=([^, ]*),share=on")
    if memory:
        with Path(memory).open("r+b") as file:
            file.seek(5 << 20)
            file.write(b"booted by " + str(os.getpid()).encode())
    if "-incoming" not in sys.argv:
        RUNNING.set()
    if "deaf" not in MODES:
        console(
            "[    0.0] Linux version 6.1\n"
            + ("initramfs: reached user space\n" if "userspace" in MODES else "")
        )
        babble()
        for name, serve in (("ssh", socket.socket.accept), ("agent", agent), ("qmp", qmp)):
            threading.Thread(target=serve, args=(listen(name),), daemon=True).start()
    time.sleep(600)


main()
