from __future__ import annotations

from typing import Any

import pytest

from guest.netlink import Malformed, attribute, attributes, nested
from guest.observe import ctnetlink
from guest.observe.ctnetlink import Flow, Tuple, pack_tuple, parse_flow, parse_tuple, states

HTTP = Tuple("10.0.1.2", "10.0.2.2", 6, 40000, 80)
QUESTION = Tuple("10.0.1.2", "10.0.2.2", 17, 5000, 5353)


def flows(kernel: dict[str, Any]) -> dict[Tuple, Flow]:
    return {flow.orig: flow for flow in (parse_flow(bytes.fromhex(payload)) for payload in kernel["dump"])}


def test_tcp_flow_has_state_status_and_counters(kernel: dict[str, Any]) -> None:
    flow = flows(kernel)[HTTP]
    assert flow.state == "ESTABLISHED"
    assert flow.assured
    assert {"SEEN_REPLY", "CONFIRMED"} <= flow.status
    assert flow.packets == (3, 2)
    assert flow.lifetime == "432000 s"
    assert flow.started
    assert flow.reply == Tuple("10.0.2.2", "10.0.1.2", 6, 80, 40000)


def test_masqueraded_flow_is_answered_at_the_router(kernel: dict[str, Any]) -> None:
    flow = flows(kernel)[QUESTION]
    assert flow.reply.destination == "10.0.2.1"
    assert "SRC_NAT" in flow.status
    assert not flow.assured
    assert flow.state == ""


def test_icmp_flow_has_type_code_and_id(kernel: dict[str, Any]) -> None:
    (flow,) = [flow for flow in flows(kernel).values() if flow.orig.protocol == 1]
    assert str(flow.orig) == "src=10.0.1.2 dst=10.0.2.2 type=8 code=0 id=77"
    assert str(flow.reply) == "src=10.0.2.2 dst=10.0.1.2 type=0 code=0 id=77"


def test_flow_reads_as_conntrack_prints_it(kernel: dict[str, Any]) -> None:
    flow = flows(kernel)[HTTP]
    assert (
        str(flow) == f"tcp 6 {flow.timeout} ESTABLISHED src=10.0.1.2 dst=10.0.2.2 sport=40000 dport=80 "
        "src=10.0.2.2 dst=10.0.1.2 sport=80 dport=40000 [ASSURED] mark=0 packets=(3, 2)"
    )


def test_flows_are_counted_by_state(kernel: dict[str, Any]) -> None:
    assert states(flow for flow in flows(kernel).values() if flow.state) == {"ESTABLISHED": 1}


@pytest.mark.parametrize("lacking", ["tuple", "address", "state", "number"])
def test_a_message_without_a_flow_is_malformed(lacking: str) -> None:
    tuples = pack_tuple(ctnetlink.TUPLE_ORIG, HTTP) + pack_tuple(ctnetlink.TUPLE_REPLY, HTTP)
    payload = {
        "tuple": pack_tuple(ctnetlink.TUPLE_ORIG, HTTP),
        "address": tuples + nested(ctnetlink.TUPLE_ORIG, nested(1, attribute(1, b"\n\0\0"))),
        "state": tuples + nested(ctnetlink.PROTOINFO, nested(1, attribute(1, b""))),
        "number": tuples + attribute(ctnetlink.MARK, b"\1" * 2000),  # of 4,800 digits
    }[lacking]
    with pytest.raises(Malformed, match="no flow in 00000000"):
        parse_flow(bytes(4) + payload)


def test_a_packed_tuple_parses_to_the_same_tuple() -> None:
    ping6 = Tuple("2001:db8:1::2", "2001:db8:2::2", 58, 77, 128 << 8)
    for packed in (HTTP, QUESTION, Tuple("10.0.1.2", "10.0.2.2", 1, 77, 8 << 8), ping6):
        ((kind, value),) = attributes(pack_tuple(ctnetlink.TUPLE_ORIG, packed)).items()
        assert (kind, parse_tuple(value)) == (ctnetlink.TUPLE_ORIG, packed)


def test_a_packed_tuple_has_the_bytes_that_the_kernel_sends(kernel: dict[str, Any]) -> None:
    found = {}
    for payload in kernel["dump"]:
        raw = attributes(bytes.fromhex(payload)[4:])[ctnetlink.TUPLE_ORIG]
        found[parse_tuple(raw)] = raw
    assert pack_tuple(ctnetlink.TUPLE_ORIG, HTTP)[4:] == found[HTTP]


def test_a_timeout_is_rounded_up_to_the_next_default_timeout() -> None:
    flow = Flow(HTTP, HTTP, timeout=118)
    assert flow.lifetime == "120 s"
    assert Flow(HTTP, HTTP, timeout=431990).lifetime == "432000 s"


def test_a_flow_that_is_not_found_reads_as_gone() -> None:
    gone = ctnetlink.GONE
    assert not gone
    assert (gone.state, gone.lifetime, gone.helper, gone.mark) == ("gone", "gone", "gone", -1)
    assert (gone.timeout, gone.assured, gone.status, gone.master) == (0, False, frozenset(), None)


def test_a_flow_that_is_found_is_true_even_if_its_timeout_is_over() -> None:
    assert Flow(HTTP, QUESTION, timeout=0)
