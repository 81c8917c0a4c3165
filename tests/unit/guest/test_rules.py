from __future__ import annotations

from pathlib import Path

import pytest

from guest.errors import ToolFailed, Unsupported
from guest.family import Family
from guest.lab.rules import declaration, declared, must_declare, program, restore_text, tool


def test_restore_text_commits_each_table() -> None:
    text = restore_text("""
        *raw
        -A PREROUTING -j CT

        *mangle
        -A PREROUTING
    """)
    assert text == "*raw\n-A PREROUTING -j CT\nCOMMIT\n*mangle\n-A PREROUTING\nCOMMIT\n"


def test_a_base_chain_is_declared_before_its_first_rule_and_only_then() -> None:
    known: set[tuple[str, str]] = set()
    text = declared(
        "*mangle\n:mine - [0:0]\n:INPUT DROP [0:0]\n-A mine -p tcp\n-A INPUT -p udp\n-A OUTPUT -j mine\n"
        "-A OUTPUT -p udp\nCOMMIT\n*filter\n-I INPUT -p udp\nCOMMIT\n",
        known,
    )
    assert text == (
        "*mangle\n:mine - [0:0]\n:INPUT DROP [0:0]\n-A mine -p tcp\n-A INPUT -p udp\n"
        ":OUTPUT ACCEPT [0:0]\n-A OUTPUT -j mine\n-A OUTPUT -p udp\nCOMMIT\n"
        "*filter\n:INPUT ACCEPT [0:0]\n-I INPUT -p udp\nCOMMIT\n"
    )
    assert declaration("filter", ("-A", "INPUT", "-p", "tcp"), known) == ""
    assert declaration("filter", ("-A", "FORWARD", "-p", "tcp"), known) == ":FORWARD ACCEPT [0:0]\n"
    assert declaration("filter", ("-L",), known) == ""


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ("iptables v1.8.9 (nf_tables)", True),
        ("iptables v1.8.10 (nf_tables)", False),
        ("iptables v1.8.11 (nf_tables)", False),
        ("something else", False),
    ],
)
def test_only_an_iptables_that_makes_base_chains_without_a_counter_needs_declarations(
    version: str, expected: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "iptables-nft"
    program.write_text(f"#!/bin/sh\necho '{version}'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    must_declare.cache_clear()
    try:
        assert must_declare() is expected
    finally:
        must_declare.cache_clear()


def test_iptables_programs_are_named_by_family_frontend_and_verb() -> None:
    assert program(Family.IPV4, "legacy", "restore") == "iptables-legacy-restore"
    assert program(Family.IPV6, "nft") == "ip6tables-nft"


@pytest.mark.parametrize(
    "words",
    [
        "iptables-restore: unable to initialize table 'raw'\n\nTable does not exist (do you need to insmod?)",
        "Warning: Extension CT revision 0 not supported, missing kernel module?",
        (
            "iptables v1.8.11 (nf_tables):  RULE_APPEND failed (No such file or directory): rule in chain"
            " PREROUTING"
        ),
        "/dev/stdin:1:1-2: Error: Could not process rule: Operation not supported",
        "netlink: Error: cache initialization failed: Invalid argument",
    ],
)
def test_a_program_whose_kernel_lacks_something_raises_Unsupported_with_its_message(words: str) -> None:
    with pytest.raises(Unsupported, match=words.split()[-1].rstrip("?)")):
        tool("sh", "-c", 'echo "$1" >&2; exit 1', "sh", words)


def test_a_mistake_in_the_rules_raises_ToolFailed() -> None:
    with pytest.raises(ToolFailed, match="syntax error"):
        tool("sh", "-c", "echo 'Error: syntax error, unexpected fwd' >&2; exit 1")
    with pytest.raises(ToolFailed):
        tool("sh", "-c", "echo 'Error: Interface does not exist' >&2; exit 1")


def test_a_program_receives_its_input_and_its_output_is_returned() -> None:
    assert tool("cat", text="rules") == "rules"
