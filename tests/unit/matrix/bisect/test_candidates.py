from __future__ import annotations

from dataclasses import replace

from matrix.bisect.candidates import MOST, candidates
from matrix.bisect.target import Target
from tests.support.fakes import make_experiment

EXPERIMENT = replace(
    make_experiment("inwindow-rst", {"lifetime": str}),
    topic="tcp",
    doc="Does a reset inside the window close the entry?",
)
TARGET = Target(EXPERIMENT, {}, EXPERIMENT.facts[0])


def test_titles_that_name_the_subject_come_first_and_those_of_other_subsystems_not_at_all() -> None:
    titles = (
        "nvme-tcp: start error recovery when read_sock fails",
        "drm/bridge: analogix_dp: restore properties",
        "netfilter: nf_tables: call skb_valid_dst() before skb_dst()",
        "ALSA: line6: clear a window",
        "[amd64] netfilter: conntrack: tcp: use UNACK timeout for non-closing RST packets",
        "tcp: check congestion control first",
    )
    assert candidates(TARGET, titles) == (titles[4], titles[5], titles[2])


def test_a_title_from_a_strangers_changelog_cannot_command_a_terminal() -> None:
    (one,) = candidates(TARGET, ["netfilter: \x1b[31m" + "x" * 1000])
    assert "\x1b" not in one
    assert len(one) < 400


def test_titles_that_share_as_much_stay_in_the_order_of_the_changelog() -> None:
    titles = [f"netfilter: fix {number}" for number in range(MOST + 5)]
    assert candidates(TARGET, titles) == tuple(titles[:MOST])
