from __future__ import annotations

import pytest

from matrix.script.verdicts import Result, read_verdict, stable

# The forms of Documentation/dev-tools/ktap.rst, and of tools/testing/selftests/kselftest/runner.sh.
KTAP = """\
KTAP version 1
1..3
  KTAP version 1
  1..2
    # a diagnostic
  ok 1 clash
  not ok 2 resize
not ok 1 conntrack
ok 2 sctp # SKIP no sctp module
not ok 3 - zones # TODO needs two CPUs
# ok 4 nested-by-the-runner
"""


def test_each_line_of_ktap_is_a_part() -> None:
    verdict = read_verdict(1, KTAP)
    assert verdict.result is Result.FAIL
    assert verdict.parts == {
        "clash": Result.OK,
        "resize": Result.FAIL,
        "conntrack": Result.FAIL,
        "sctp": Result.SKIP,
        "zones": Result.XFAIL,
        "nested-by-the-runner": Result.OK,
    }
    assert verdict.reason == "not ok 2 resize"


def test_a_line_of_tap_that_is_not_ok_fails_a_program_that_ends_with_0() -> None:
    assert read_verdict(0, "1..2\nok 1 - a\nnot ok 2 - b\n").result is Result.FAIL
    assert read_verdict(0, "1..1\nnot ok 1 - b # TODO later\n").result is Result.OK


def test_a_plan_of_no_tests_is_skipped() -> None:
    verdict = read_verdict(0, "TAP version 13\n1..0 # SKIP no /dev/net/tun\n")
    assert (verdict.result, verdict.reason) == (Result.SKIP, "1..0 # SKIP no /dev/net/tun")


@pytest.mark.parametrize(
    ("line", "name", "result"),
    [
        ("PASS: ns1-AbCd1e can reach ns2-xyzabc", "ns1 can reach ns2", Result.OK),
        ("FAIL: ns1-AbCd1e cannot reach ns2-xyzabc: 1", "ns1 cannot reach ns2: 1", Result.FAIL),
        ("ERROR: kernel is tainted", "kernel is tainted", Result.FAIL),
        ("XFAIL: needs two CPUs", "needs two CPUs", Result.XFAIL),
        ("SKIP: inet nat tests", "inet nat tests", Result.SKIP),
        ("TEST: icmp redirect                       [ OK ]", "icmp redirect", Result.OK),
        ("TEST: icmp redirect                       [FAIL]", "icmp redirect", Result.FAIL),
        ("  net,port                       [ OK ] 12.5s", "net,port", Result.OK),
        ("PASS: ns1-AbCd1e: port 2121 has ftp", "ns1: port 2121 has ftp", Result.OK),
        ("PASS: connected from port 40211", "connected from port N", Result.OK),
        ("FAIL (nexthop group (dummy0 + veth0)): counter nf_ok has 0", "nexthop group (dummy0 + veth0)",
         Result.FAIL),
        ("testing for cmd: nft reset rules ... OK", "testing for cmd: nft reset rules", Result.OK),
        ("packetdrill/a.pkt              (ipv4)          FAIL", "packetdrill/a.pkt (ipv4)", Result.FAIL),
        ("PASS: added 1000 entries in 512 ms (now 1000 total)", "added 1000 entries in N ms (now 1000 total)",
         Result.OK),
        ("I: [OK]          ./shell/testcases/chain/0001_0", "shell/testcases/chain/0001_0", Result.OK),
        ("W: [FAILED]      ./testcases/a_0: expected 0 but got 1", "testcases/a_0", Result.FAIL),
        ("I: [SKIPPED]     7/382 testcases/maps/delete", "testcases/maps/delete", Result.SKIP),
        ("extensions/libxt_mark.t: OK(ip6tables)", "extensions/libxt_mark.t", Result.OK),
        ("extensions/libxt_u32.t: ERROR: line 3 (cannot load: iptables -A INPUT -m u32)",
         "extensions/libxt_u32.t", Result.FAIL),
    ],
)  # fmt: skip
def test_each_line_that_a_script_prints_for_a_test_is_a_part(line: str, name: str, result: Result) -> None:
    assert read_verdict(0, line).parts == {name: result}


def test_a_sentence_is_no_part() -> None:
    text = "passing a packet\nFailing over: no\nok then\nPASS\nit is OK\nFAIL ( no name\n"
    totals = "I: nft results: [OK] 80 [FAILED] 2 [TOTAL] 82"
    assert read_verdict(0, text + totals).parts == {}


def test_of_two_parts_with_one_name_the_worse_counts() -> None:
    assert read_verdict(0, "PASS: a\nFAIL: a\nPASS: a\n").parts == {"a": Result.FAIL}


@pytest.mark.parametrize(
    ("code", "result"),
    [
        (0, Result.OK),
        (1, Result.FAIL),
        (2, Result.XFAIL),
        (3, Result.FAIL),
        (4, Result.SKIP),
        (77, Result.SKIP),
    ],
)
def test_without_lines_the_exit_code_decides(code: int, result: Result) -> None:
    assert read_verdict(code, "").result is result


def test_a_skip_says_why() -> None:
    said = "hello\nSKIP: Could not run test without socat\n"
    assert read_verdict(4, said).reason == "SKIP: Could not run test without socat"
    assert read_verdict(4, "no tool\n").reason == "no tool"
    assert read_verdict(4, "").reason == "it printed nothing and ended with 4"


def test_names_of_namespaces_and_times_are_the_same_in_each_run() -> None:
    assert (
        stable("router-abcdef: 12 ms, attempt 3 of nsrouter-A1b2C3") == "router: N s, attempt N of nsrouter"
    )
    assert stable("ip-helper of tcp-zoning") == "ip-helper of tcp-zoning"


def test_many_parts_are_bounded() -> None:
    verdict = read_verdict(0, "".join(f"PASS: a{number}x\n" for number in range(5000)))
    assert len(verdict.parts) == 900
