from __future__ import annotations

from matrix.report.page.way import Stage, Way, ways


def test_a_full_tables_packets_are_lost_in_connection_tracking() -> None:
    assert ways({"packets": 10, "flows": 7, "raw_packets": 10, "mangle_packets": 7, "drop": 3}) == (
        Way(
            "",
            (
                Stage("tun", 10, ""),
                Stage("raw PREROUTING", 10, ""),
                Stage("conntrack", 7, "7 flows"),
                Stage("mangle PREROUTING", 7, ""),
            ),
        ),
    )


def test_answers_are_noted_where_they_come_from() -> None:
    (way,) = ways({"raw_packets": 1, "mangle_packets": 1, "flows": 1, "synacks": 1})
    assert [stage.note for stage in way.stages] == ["", "1 flow", "1 SYN+ACKs back"]


def test_a_fact_that_counts_by_hook_is_a_way_of_its_own() -> None:
    assert ways({"tun": {"input": 3, "output": 0, "prerouting": 3}, "flows": {"tun": 1}}) == (
        Way(
            "tun", (Stage("raw OUTPUT", 0, ""), Stage("raw PREROUTING", 3, ""), Stage("mangle INPUT", 3, ""))
        ),
    )


def test_facts_that_tell_no_way_draw_none() -> None:
    assert ways({"raw_packets": 10, "flows": 7, "states": {"SYN_SENT": 7, "input": 1}}) == ()


def test_a_hostile_guests_numbers_draw_nothing() -> None:
    assert ways({"raw_packets": 2**63, "mangle_packets": -1}) == ()
    assert ways({"raw_packets": True, "mangle_packets": False}) == ()
