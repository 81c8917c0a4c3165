"""What a cell may do through the agent, as root of the guest's initial namespace; the agent undoes
it when the cell ends.

A cell has namespaces to itself. The table's limit, kernel modules and the kernel's log belong to
the whole machine: the cell sends a request over a socket pair, JSON lines both ways, and receives
the result or the kernel's refusal.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from guest.controls import Settings
from guest.errors import Refused
from guest.linux import WAIT_SECONDS, errno_name, powerless
from guest.observe import kmsg


class Root:
    """The agent's side: answers one cell's requests."""

    def __init__(self) -> None:
        self._log = kmsg.Log()
        self._before: dict[str, str] = {}
        self._deeds: dict[str, Callable[..., Any]] = {
            "write": self.write,
            "read": self.read,
            "names": self.names,
            "modprobe": self.modprobe,
            "rmmod": self.rmmod,
            "dmesg": self.dmesg,
        }

    def answer(self, line: bytes) -> bytes:
        """The answer to one line from the cell."""
        try:
            request = json.loads(line)
            result = {"ok": self._deeds[request["do"]](*request["arguments"])}
        except Refused as refusal:
            result = {"refused": str(refusal), "code": refusal.code}
        except Exception as error:  # the cell is not trusted, whatever it sends must not end the agent
            result = {"refused": f"{type(error).__name__}: {error}", "code": ""}
        return json.dumps(result).encode() + b"\n"

    def write(self, path: str, value: str) -> None:
        """Writes a file under /proc or /sys in the initial namespace."""
        try:
            if path not in self._before:
                self._before[path] = Path(path).read_text().strip()
            Path(path).write_text(value)
        except OSError as error:
            raise Refused(f"{path}: {error.strerror}", errno_name(error)) from error

    def read(self, path: str) -> str:
        """A file's text as the initial namespace's root sees it."""
        try:
            return Path(path).read_text(errors="replace")
        except OSError as error:
            raise Refused(f"{path}: {error.strerror}", errno_name(error)) from error

    def names(self, path: str) -> list[str]:
        """The names in a directory, sorted."""
        return sorted(entry.name for entry in Path(path).iterdir())

    def modprobe(self, name: str, *parameters: str) -> bool:
        """Loads a module and those that it needs; returns whether it was not loaded before."""
        if Path("/sys/module", name.replace("-", "_")).exists():
            return False
        _tool("modprobe", name, *parameters)
        return True

    def rmmod(self, name: str) -> None:
        """Unloads a module, and those that only it needed."""
        _tool("modprobe", "-r", name)

    def dmesg(self) -> list[str]:
        """The lines that the kernel has logged since the cell started."""
        return self._log.lines()

    def restore(self) -> list[str]:
        """Writes every value back that was written, the newest first; returns what the kernel
        refuses, a line each.
        """
        left = []
        for path, value in reversed(self._before.items()):
            try:
                Path(path).write_text(value)
            except OSError as error:
                left.append(f"{path}: {error.strerror}")
        self._log.close()
        return left


class Asking:
    """The cell's side of the socket pair.

    Every method raises Refused with the kernel's message.
    """

    settings = Settings.SET
    """What becomes of the sysctls that the experiment sets."""

    def __init__(self, channel: socket.socket) -> None:
        self._stream = channel.makefile("rwb")

    def _ask(self, do: str, *arguments: str) -> Any:
        self._stream.write(json.dumps({"do": do, "arguments": arguments}).encode() + b"\n")
        self._stream.flush()
        answer = json.loads(self._stream.readline())
        if "refused" in answer:
            raise Refused(answer["refused"], answer["code"])
        return answer["ok"]

    def sysctl(self, name: str, value: int | str) -> None:
        """Sets a sysctl of the initial namespace (`net/netfilter/nf_conntrack_max`) until the cell
        ends. Raises Refused with the kernel's message if it does not accept the value.
        """
        if self.settings.spare(name):
            return
        self.write(f"/proc/sys/{name}", self.settings.given(name, value))

    def try_sysctl(self, name: str, value: int | str) -> str:
        """Tries to set a sysctl of the initial namespace until the cell ends: `ok`, or the errno's
        name with which the kernel refuses.
        """
        try:
            if self.settings.refuse(name):
                with powerless():
                    Path("/proc/sys", name).write_text(str(value))
            else:
                self.write(f"/proc/sys/{name}", value)
        except Refused as refusal:
            if not refusal.code:
                raise
            return refusal.code
        except OSError as error:
            return errno_name(error)
        return "ok"

    def write(self, path: str, value: int | str) -> None:
        """Writes a file that is not a sysctl, under /proc or /sys, until the cell ends."""
        self._ask("write", path, str(value))

    def read(self, path: str) -> str:
        """A file's text as the initial namespace's root sees it."""
        return str(self._ask("read", path))

    def names(self, path: str) -> list[str]:
        """The names in a directory, sorted."""
        return list(self._ask("names", path))

    def modprobe(self, name: str, *parameters: str) -> None:
        """Loads a module until the cell ends."""
        self._ask("modprobe", name, *parameters)

    def rmmod(self, name: str) -> None:
        """Unloads a module."""
        self._ask("rmmod", name)

    def dmesg(self) -> list[str]:
        """The lines that the kernel has logged since the cell started, without timestamps."""
        return list(self._ask("dmesg"))


def _tool(*command: str) -> None:
    environment = {"PATH": os.environ["PATH"], "LC_ALL": "C"}
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=WAIT_SECONDS,
            env=environment,
        )
    except OSError as error:
        raise Refused(f"{command[0]}: {error.strerror}", errno_name(error)) from error
    if done.returncode:
        raise Refused((done.stderr or done.stdout).strip())
