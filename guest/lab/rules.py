"""Runs the programs that load and list firewall rules."""

from __future__ import annotations

import functools
import os
import re
import subprocess
import textwrap
from collections.abc import Sequence
from pathlib import Path

from guest.errors import ToolFailed, Unsupported
from guest.family import Family
from guest.linux import WAIT_SECONDS

# What programs print if the kernel lacks something. Every other error is a mistake of the
# experiment.
_KERNEL_LACKS = re.compile(
    r"(table|chain)\b.{0,40}does not exist|can't initialize|missing kernel module|not supported|No such file"
    r" or directory|"
    r"Protocol wrong type|No chain/target/match by that name|cache initialization failed: Invalid argument",
    re.IGNORECASE,
)
_BASE_CHAINS = {"PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"}
_VERSION = re.compile(r"v(\d+)\.(\d+)\.(\d+)")
_COUNTS = (1, 8, 10)  # since this iptables base chains over nf_tables are made with a counter


def tool(*command: str, text: str = "") -> str:
    """Runs a program and returns its output.

    Raises Unsupported with its message if that blames the kernel, else ToolFailed.
    """
    done = subprocess.run(
        command,
        input=text,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
        timeout=WAIT_SECONDS,
    )
    if done.returncode:
        raise failure(command[0], (done.stderr or done.stdout).strip(), f"{' '.join(command)}\n{text}")
    return done.stdout


def failure(name: str, words: str, asked: str) -> Unsupported | ToolFailed:
    """The exception for a program's error message; `asked` is what the program was to do."""
    if _KERNEL_LACKS.search(words):
        return Unsupported(f"{name}: {words}")
    return ToolFailed(f"{name}: {words}\n{asked}")


def restore_text(rules: str) -> str:
    """Rules as iptables-restore reads them: without indent, each table with its COMMIT."""
    lines = [line for line in textwrap.dedent(rules).strip().splitlines() if line.strip()]
    tables: list[list[str]] = []
    for line in lines:
        if line.startswith("*"):
            tables.append([])
        tables[-1].append(line.strip())
    return "".join("\n".join(table) + "\nCOMMIT\n" for table in tables)


@functools.cache
def must_declare() -> bool:
    """Whether base chains over nf_tables have no counter unless they are declared to iptables.

    The agent asks once, before cells are forked from it.
    """
    try:
        version = _VERSION.search(tool("iptables-nft", "--version"))
    except FileNotFoundError:
        return False
    return version is not None and tuple(map(int, version.groups())) < _COUNTS


def declaration(table: str, words: Sequence[str], known: set[tuple[str, str]]) -> str:
    """The line for iptables-restore that declares the base chain to which a rule is added, if this
    is the chain's first; empty otherwise.

    `words` are a line of iptables-restore's language, or iptables' arguments without the table.
    `known` has each table and chain that has a rule or a declaration, and is brought up to date.
    """
    verb, chain = (*words[:2], "", "")[:2]
    if verb.startswith(":"):
        known.add((table, verb[1:]))
    elif verb in ("-A", "-I") and chain in _BASE_CHAINS and (table, chain) not in known:
        known.add((table, chain))
        return f":{chain} ACCEPT [0:0]\n"
    return ""


def declared(text: str, known: set[tuple[str, str]]) -> str:
    """What iptables-restore reads, with these declarations."""
    lines = []
    table = ""
    for line in text.splitlines():
        if line.startswith("*"):
            table = line[1:]
        lines.append(f"{declaration(table, line.split(), known)}{line}\n")
    return "".join(lines)


def program(family: Family, frontend: str, verb: str = "") -> str:
    """The name of iptables' program for a family, a frontend (`legacy`, `nft`) and a verb
    (`restore`, `save` or none).
    """
    return "-".join(word for word in (family.iptables, frontend, verb) if word)


def lock_file() -> None:
    """Names a lock file for iptables-legacy that this user may write, one per user namespace; the
    usual one in /run belongs to root.
    """
    os.environ["XTABLES_LOCKFILE"] = f"/tmp/xtables.{Path('/proc/self/ns/user').stat().st_ino}.lock"
