"""What a bisection found, as text and as Markdown."""

from __future__ import annotations

from dataclasses import replace

from matrix.analysis.ledger.explain import Verdict as Explained
from matrix.analysis.ledger.model import Commit, Confirmed
from matrix.bisect.outcome import Answered, Bisection, Interval
from matrix.bisect.search import Side
from matrix.report.text.bisected import bisection_markdown, bisection_text
from matrix.results.record import Status
from tests.support.fakes import make_kernel

FIX = Commit("fix", "netfilter: use *UNACK* timeout", Confirmed.CHANGELOG, "Resets last longer.", "ab")
LOST = Commit("lost", "netfilter: other", Confirmed.CHANGELOG, "Another.", "cd")


def answered(release: str, verdict: Side | None, value: str | None = "", **fields: object) -> Answered:
    known = {"status": Status.PASS, "value": value, "run": "run-2"} if verdict else {}
    return replace(Answered(make_kernel(release), verdict), **{**known, **fields})  # type: ignore[arg-type]


BUILDS = (
    answered("6.12.9", Side.OLD, "10 s", recorded=True, run="reference"),
    answered("6.12.10", None),
    answered("6.12.11", None),
    answered("6.12.12", Side.OLD, "10 s"),
    answered("6.12.13", Side.UNKNOWN, value=None, status=Status.UNSUPPORTED, reason="no *module*\nat all"),
    answered("6.12.14", Side.NEW, "300 s"),
    answered("6.12.15", Side.NEW, "300 s"),
)
INTERVAL = Interval(
    BUILDS[3],
    BUILDS[5],
    (BUILDS[4],),
    Explained.EXPLAINED,
    (FIX,),
    (),
    (LOST,),
    ("netfilter: a <b>", "tcp: c"),
    1484,
)
FOUND = Bisection(
    "rst",
    {"family": "ipv4"},
    "lifetime",
    "How long does it last?",
    "its timeout",
    "10 s",
    "300 s",
    BUILDS,
    (INTERVAL,),
    0,
    False,
    3,
    92.4,
    "run-2",
)


def test_the_text_says_between_what_it_changed_why_and_what_that_rests_on() -> None:
    text = bisection_text(FOUND)
    assert text.startswith("# rst[family=ipv4]: lifetime: 6.12.12-1 .. 6.12.14-1\n")
    assert "“10 s” in 6.12.12-1 became “300 s” in 6.12.14-1." in text
    assert "The builds between them answer neither: 6.12.13-1 (unsupported: no *module*)." in text
    assert "From 6.12.14-1 on, every build that was asked is like the newest." in text
    assert (
        "- Resets last longer. (netfilter: use *UNACK* timeout) https://git.kernel.org/torvalds/c/ab" in text
    )
    assert "Commits of the ledger that only the left build holds:\n\n- Another." in text
    assert "lists 1,484 titles that are newer than 6.12.12-1; 2 of them name what" in text
    assert "- netfilter: a <b>\n- tcp: c\n" in text
    assert "6.12.9-1   old      10 s  (on record: reference)\n           (2 not asked)\n" in text
    assert "6.12.13-1  unknown  unsupported: no *module*  (asked now)" in text
    assert (
        "Of 7 builds, 4 were asked now, in 3 steps (92 s); 1 answer was on record, 2 were not asked." in text
    )
    assert "`./invoke matrix -k 6.12.12-1 -k 6.12.14-1 -e 'rst[family=ipv4]'`" in text


def test_markdown_is_escaped_but_in_blocks_of_code() -> None:
    text = bisection_markdown(FOUND)
    assert "netfilter: a &lt;b&gt;" in text
    assert r"use \*UNACK\* timeout" in text
    assert "unsupported: no *module*  (asked now)" in text


def test_a_fix_is_called_one_and_other_intervals_are_told() -> None:
    back = replace(INTERVAL, left=BUILDS[5], right=BUILDS[6], unknown=(), candidates=(), titles=0)
    text = bisection_text(replace(FOUND, find_fix=True, intervals=(INTERVAL, back)))
    assert "6.12.14-1 is the first build known to have the fix, 6.12.12-1 the last before it." in text
    assert "## It changes more than once\n\n“300 s” in 6.12.14-1 became “300 s” in 6.12.15-1." in text
    assert "The changelog of 6.12.15-1 lists no commits that are newer than 6.12.14-1." in text


def test_what_the_ledger_does_not_explain_is_said_and_so_is_a_changelog_that_is_missing() -> None:
    bare = replace(
        INTERVAL, explained=Explained.UNEXPLAINED, commits=(), candidates=(), no_changelog="it is gone"
    )
    text = bisection_text(replace(FOUND, intervals=(bare,)))
    assert "The ledger does not explain it." in text
    assert "The changelog could not be read: it is gone" in text
    against = replace(INTERVAL, explained=Explained.CONTRADICTED)
    assert "The ledger does not explain it (contradicted); it names:" in bisection_text(
        replace(FOUND, intervals=(against,))
    )
