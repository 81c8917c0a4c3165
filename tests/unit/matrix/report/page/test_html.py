from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from bench import generate
from matrix.analysis.analysis import analyse
from matrix.analysis.ledger.model import Change, Commit, Confirmed, Ledger
from matrix.analysis.table import make_table
from matrix.report.page.html import html_report
from matrix.results.record import Record, Status
from tests.support import sample

FIX = Commit(
    "fix", "netfilter: fix it", Confirmed.CHANGELOG, "It is fixed.", "0123456789abcdef", "6.13", ("6.12.10",)
)
BREAK = Commit("break", "netfilter: break it", Confirmed.SOURCE, "It is broken.", "fedcba9876543210", "6.1")
LEDGER = Ledger(
    {commit.key: commit for commit in (FIX, BREAK)},
    (
        Change("inwindow-rst", FIX, "state", before="ESTABLISHED", after="CLOSE"),
        Change("inwindow-rst", FIX, "invalid", before=True, after=False),
        Change("inwindow-rst", BREAK, "state", before="CLOSE", after="LAST_ACK"),
    ),
    {"5.10": "5.10.251", "6.12": "6.12.10"},
)
ALLOWED_TAGS = {
    *(
        "html",
        "head",
        "meta",
        "title",
        "style",
        "body",
        "a",
        "header",
        "h1",
        "h2",
        "h3",
        "p",
        "span",
        "b",
        "i",
        "button",
        "form",
        "div",
        "label",
    ),
    *(
        "input",
        "select",
        "option",
        "output",
        "main",
        "table",
        "caption",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
        "small",
        "code",
        "section",
        "ul",
        "li",
    ),
    *("dl", "dt", "dd", "dialog", "kbd", "noscript", "script", "cite"),
}


class Seen(HTMLParser):
    """Every tag, attribute and text of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.texts: list[str] = []
        self.elements: dict[str, str] = {}
        self._open = ("", "")
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        self._open = (tag, dict(attrs).get("id") or "")

    def handle_data(self, data: str) -> None:
        self.texts.append(data)
        if self._open[0] in ("script", "style"):
            self.elements["#".join(self._open)] = data
            self._open = ("", "")


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    return html_report(sample.analysis(LEDGER), tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def data(page: str) -> dict[str, Any]:
    read: dict[str, Any] = json.loads(Seen(page).elements["script#data"])
    return read


def row_of(data: dict[str, Any], experiment: str) -> dict[str, Any]:
    found: list[dict[str, Any]] = [
        row for row in data["rows"] if data["experiments"][row["experiment"]]["name"] == experiment
    ]
    (row,) = found
    return row


def test_nothing_is_fetched_from_anywhere(page: str) -> None:
    seen = Seen(page)
    assert not [
        value
        for name, value in seen.attributes
        if name in ("src", "srcset", "action", "poster")
        or (name == "href" and value not in ("#matrix", "#how", FIX.link, BREAK.link))
    ]
    assert "url(" not in seen.elements["style#"]
    assert "@import" not in seen.elements["style#"]


def test_the_policy_names_exactly_the_pages_own_script_and_style(page: str) -> None:
    seen = Seen(page)
    (policy,) = [
        value or "" for name, value in seen.attributes if name == "content" and "default-src" in (value or "")
    ]

    def digest(text: str) -> str:
        return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()

    assert policy.startswith("default-src 'none'; ")
    assert f"script-src 'sha256-{digest(seen.elements['script#'])}'" in policy
    assert f"style-src 'sha256-{digest(seen.elements['style#'])}'" in policy
    assert "unsafe" not in policy


def test_a_hostile_guest_adds_no_markup(page: str) -> None:
    seen = Seen(page)
    assert set(seen.tags) <= ALLOWED_TAGS
    assert not [name for name, _ in seen.attributes if name.startswith("on") or name == "style"]
    assert seen.tags.count("script") == 2
    assert any("<script>alert(1)</script>" in text for text in seen.texts)


def test_a_hostile_guest_hides_nothing_and_floods_nothing(page: str) -> None:
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", page)
    assert len(page) < 150_000  # every field of one cell held 100,000 characters


def test_the_table_is_there_without_the_script(page: str) -> None:
    without = re.sub(r"<script.*?</script>", "", page, flags=re.S)
    seen = Seen(without)
    words = " ".join(text.strip() for text in seen.texts).partition(" Experiment ")[2]
    assert words.index("5.10.251") < words.index("6.12.9") < words.index("6.12.10") < words.index("7.3~rc7")
    assert "10 10 10 10" in words
    assert "10/7/10/7" in words
    assert "packets/flows/raw_packets/mangle_packets" in words
    for experiment in {record.experiment for record in sample.records()}:
        assert experiment in words


def test_the_script_knows_the_words_of_each_behaviour(data: dict[str, Any]) -> None:
    assert row_of(data, "baseline")["words"] == {"0": "10 10 10 10"}
    assert row_of(data, "race")["words"] == {}


def test_equal_facts_have_equal_letters(data: dict[str, Any]) -> None:
    row = row_of(data, "inwindow-rst")
    assert [data["cells"][place]["behaviour"] for place in row["cells"]] == [0, 1, 0, 1]


def test_a_change_carries_its_verdict_fact_by_fact(data: dict[str, Any]) -> None:
    """The first is told otherwise by the ledger, the second is explained by the backport, the third
    by nothing.
    """
    changes = row_of(data, "inwindow-rst")["changes"]
    assert [(change["from"], change["at"], change["verdict"]) for change in changes] == [
        (0, 1, "contradicted"),
        (1, 2, "explained"),
        (2, 3, "unexplained"),
    ]
    state, invalid = changes[1]["facts"]
    assert "lost" not in changes[1]
    assert (state["fact"], state["moved"], state["verdict"]) == (
        "state",
        "ESTABLISHED → CLOSE",
        "explained",
    )
    assert invalid["moved"] == "yes → no"
    assert data["ledger"][state["commits"][0]] == {
        "title": "netfilter: fix it",
        "hash": "0123456789ab",
        "link": "https://git.kernel.org/torvalds/c/0123456789abcdef",
        "sentence": "It is fixed.",
        "where": "mainline 6.13, backported to 6.12.10",
    }


def test_a_change_back_says_that_the_commit_is_not_there(tmp_path: Path) -> None:
    """6.12.9 lacks what 5.10.251 was given as a backport."""
    commit = Commit(
        "odd", "netfilter: odd", Confirmed.SOURCE, "It is odd.", mainline="7.0", backports=("5.10.251",)
    )
    change = Change("inwindow-rst", commit, "state", before="ESTABLISHED", after="CLOSE")
    ledger = Ledger({"odd": commit}, (change,), {"6.12": "6.12.10"})
    page = html_report(sample.analysis(ledger), tmp_path)
    first = row_of(json.loads(Seen(page).elements["script#data"]), "inwindow-rst")["changes"][0]
    assert first["lost"] == first["facts"][0]["commits"]


def test_a_kernel_that_cannot_any_more_is_one_change_not_one_per_fact(data: dict[str, Any]) -> None:
    (change,) = row_of(data, "iptables-legacy")["changes"]
    assert change["facts"] == [{"fact": "", "verdict": "unexplained", "moved": "answered → unsupported"}]


def test_what_many_cells_share_is_embedded_once(data: dict[str, Any]) -> None:
    assert len(set(row_of(data, "baseline")["cells"])) == 1


def test_our_own_errors_are_no_change(data: dict[str, Any]) -> None:
    row = row_of(data, "race")
    statuses = [data["cells"][place]["status"] for place in row["cells"]]
    assert statuses == ["unstable", "error", "crash", "timeout"]
    assert [change["at"] for change in row["changes"]] == [3]


def test_a_page_for_many_kernels_shows_facts_only_in_wide_strips(tmp_path: Path) -> None:

    entries, catalogue = generate.kernels(20), generate.experiments(5)
    manifest, records = (
        generate.manifest(entries, tuple(catalogue)),
        list(generate.records(entries, tuple(catalogue))),
    )
    ledger = generate.ledger(make_table(manifest, records, catalogue))
    page = html_report(analyse(manifest, records, catalogue, ledger), tmp_path)
    assert '<body class="dense">' in page
    cells = re.findall(r'<td class="([^"]*)">[^<]*(<span class="lines">)?', page)
    wide = {
        int(span[1]) >= 4 for css, lines in cells if lines for span in [re.search(r"\bs(\d+)", css)] if span
    }
    assert wide == {True}
    assert all(lines for css, lines in cells if (span := re.search(r"\bs(\d+)", css)) and int(span[1]) >= 4)


def test_builds_that_are_gone_are_named(tmp_path: Path) -> None:
    lacking = sample.analysis(left_out=("6.12.90-1",))
    assert "<dt>left out<dd>gone from their archive: 6.12.90-1" in html_report(lacking, tmp_path)


def test_each_kernel_says_in_how_many_rows_it_differs_from_its_neighbour(page: str) -> None:
    said = re.findall(r'class="into"[^>]*>(\d+) rows? differs?<', page)
    table = sample.table()
    differing = [
        sum(bool(row.changed[column]) for row in table.rows) for column in range(1, len(table.kernels))
    ]
    assert any(differing)
    assert list(map(int, said)) == differing


def test_what_a_kernel_reported_while_it_booted_is_listed(page: str) -> None:
    reported = page.partition("What kernels reported while they booted")[2]
    assert "<li>6.12.10: tainted W: the kernel warned</li>" in reported
    assert "<li>6.12.10: WARNING: net/x.c nf_x" in reported


def test_a_cell_whose_kernel_reported_an_error_is_marked_counted_and_says_what(
    page: str, data: dict[str, Any]
) -> None:
    assert page.count("⚠") >= 3  # the cell, the count and the legend
    assert "with splats" in page
    (splats,) = [cell["splats"] for cell in data["cells"] if "splats" in cell]
    assert splats[1] == "Kernel panic - not syncing: Fatal exception"


def test_variants_of_one_row_may_have_parameters_of_their_own(tmp_path: Path) -> None:
    kernel = sample.KERNELS[0]
    asked = [
        Record(kernel, "baseline", variant, Status.PASS, sample.seed(10, 10))
        for variant in ({"scope": "root", "family": "ipv4"}, {"family": "ipv6"}, {"table": "raw"})
    ]
    page = html_report(analyse(sample.manifest(), asked, sample.CATALOGUE, LEDGER), tmp_path)
    (row,) = json.loads(Seen(page).elements["script#data"])["rows"]
    assert row["values"] == {"scope": ["root"], "family": ["ipv4", "ipv6"], "table": ["raw"]}
