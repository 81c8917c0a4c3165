"""All files of a site, of generated answers."""

from __future__ import annotations

import hashlib
import json
import posixpath
import re
from base64 import b64encode
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote
from xml.etree import ElementTree

import jsonschema
import pytest

from bench import generate
from matrix.analysis.ledger.model import Change as Entry
from matrix.analysis.ledger.model import Ledger
from matrix.report.export.schema import schemas
from matrix.report.website.contents import Contents, read_contents
from matrix.report.website.files import files
from matrix.results.record import Record, Status
from tests.support.sites import made_contents
from tests.support.upgrades import CATALOGUE, FIX, LEDGER, LEFT, QUIET, RIGHT, cell, save

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>&'\"\x1b[31m"


class Seen(HTMLParser):
    """The tags, attributes, ids and links of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    @property
    def links(self) -> list[str]:
        return [value for name, value in self.attributes if name == "href" and not value.startswith("http")]


def generated(tmp_path: Path) -> Contents:
    entries, catalogue = generate.kernels(6), generate.experiments(20)
    return made_contents(
        tmp_path / "run", entries, list(generate.records(entries, tuple(catalogue))), catalogue
    )


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    return dict(files(generated(tmp_path_factory.mktemp("runs"))))


@pytest.fixture(scope="module")
def pages(made: dict[str, bytes]) -> dict[str, str]:
    return {path: content.decode() for path, content in made.items() if path.endswith(".html")}


def test_there_is_a_page_and_a_document_for_each_thing(made: dict[str, bytes]) -> None:
    assert len(made) == len(set(made))
    index = json.loads(made["api/index.json"])
    assert [link["name"] for link in index["builds"]] == [
        *("5.10.10", "5.15.10", "6.1.10", "6.6.10", "6.12.10", "6.17.10")
    ]
    for kind in ("builds", "questions", "commits", "topics"):
        assert index[kind]
        for link in index[kind]:
            assert f"api/{link['path']}" in made
            assert link["path"].replace(".json", ".html") in made


def test_every_link_leads_to_a_file_of_the_site(made: dict[str, bytes], pages: dict[str, str]) -> None:
    broken = []
    for path, page in pages.items():
        ids = {value for name, value in Seen(page).attributes if name == "id"}
        for link in Seen(page).links:
            target, _, anchor = link.partition("#")
            place = posixpath.normpath(posixpath.join(posixpath.dirname(path), unquote(target)))
            if (target and place not in made) or (not target and anchor not in ids and "=" not in anchor):
                broken.append((path, link))
    assert broken == []


def test_a_browser_may_run_and_apply_only_what_a_page_holds(pages: dict[str, str]) -> None:
    for page in pages.values():
        seen = Seen(page)
        policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]+)"', page)
        assert policy
        for kind, text in (("style", r"<style>(.*?)</style>"), ("script", r"<script>(.*?)</script>")):
            (found,) = re.findall(text, page, re.DOTALL)
            digest = b64encode(hashlib.sha256(found.encode()).digest()).decode()
            assert f"{kind}-src 'sha256-{digest}'" in policy[1]
        assert policy[1].startswith("default-src 'none'; ")
        assert not [name for name, _ in seen.attributes if name.startswith("on") or name in ("style", "src")]


def test_the_same_answers_make_the_same_files(made: dict[str, bytes], tmp_path: Path) -> None:
    assert dict(files(generated(tmp_path))) == made


def test_what_a_guest_says_is_text_and_nothing_else(tmp_path: Path) -> None:
    entries = generate.kernels(2)
    records = [
        Record(entries[0].name, "e", {"v": HOSTILE}, Status.PASS, {HOSTILE: HOSTILE, "n": 1}),
        Record(entries[1].name, "e", {"v": HOSTILE}, Status.UNSUPPORTED, reason=HOSTILE),
    ]
    made = dict(files(made_contents(tmp_path / "run", entries, records, {}, Ledger({}, (), {}))))
    for path, content in made.items():
        text = content.decode()
        assert not re.search("[\x00-\x08\x0b-\x1f\x7f]", text), path
        if path.endswith(".html"):
            assert "img" not in Seen(text).tags
            assert Seen(text).tags.count("script") <= 2
    ElementTree.fromstring(made["changes.atom"])
    assert "alert(1)" in made["question/e.html"].decode()


@pytest.mark.parametrize("kind", ["index", "build", "question", "commit", "topic"])
def test_each_document_is_of_its_published_form(made: dict[str, bytes], kind: str) -> None:
    schema = json.loads(schemas()[f"site-{kind}.schema.json"])
    prefix = "api/index" if kind == "index" else f"api/{kind}/"
    documents = [json.loads(content) for path, content in made.items() if path.startswith(prefix)]
    assert documents
    for document in documents:
        jsonschema.validate(document, schema, jsonschema.Draft202012Validator)


def told(results: Path) -> dict[str, Any]:
    """The site of two builds, of one of which no changelog was read."""
    save(results, 1, cell(LEFT, "drops", counted=5), cell(RIGHT, "drops", counted=0))
    ledger = Ledger(LEDGER.commits, LEDGER.changes, {"6.1": "6.1.9"}, {"6.12": "6.12.9"})
    return dict(files(read_contents([results / "run-1"], CATALOGUE, ledger)))


def test_what_is_not_known_is_never_said_to_be_lacking(tmp_path: Path) -> None:
    made = told(tmp_path)
    fix, quiet = (json.loads(made[f"api/commit/{commit.key}.json"]) for commit in (FIX, QUIET))
    assert fix["builds"] == {LEFT: True, RIGHT: None}
    assert quiet["builds"] == {LEFT: False, RIGHT: True}
    assert json.loads(made[f"api/build/{RIGHT}.json"])["commits"][FIX.key] is None
    (row,) = re.findall(r'<th scope="row">6\.12<td>(.*)', made["commit/fix.html"].decode())
    holds, lacks, unknown = row.split("<td>")
    assert (holds, lacks) == ("none", "none")
    assert f">{RIGHT}</a>" in unknown


def test_a_question_says_which_build_gave_which_answer(tmp_path: Path) -> None:
    made = told(tmp_path)
    (variant,) = json.loads(made["api/question/drops.json"])["variants"]
    assert [variant["answers"][variant["builds"][name]]["facts"] for name in (LEFT, RIGHT)] == [
        {"counted": 5},
        {"counted": 0},
    ]
    page = made["question/drops.html"].decode()
    assert "counted: 5 → 0" in page
    assert "Drops are counted right." in page
    assert f"matrix -k {LEFT} -k {RIGHT} -e drops" in page


def test_a_commit_says_which_items_of_a_list_come_and_go(tmp_path: Path) -> None:
    save(tmp_path, 1, cell(LEFT, "tun", flows=1))
    ledger = Ledger(
        LEDGER.commits,
        (
            Entry("tun", QUIET, "spread", "none: all", before=True),
            Entry("tun", QUIET, "spread", "none: first", after=True),
            Entry("tun", QUIET, "write", "0", before=1, after=0),
            Entry("tun", QUIET, "read", before=1, after=0, besides=(FIX,)),
        ),
        {},
    )
    made = dict(files(read_contents([tmp_path / "run-1"], CATALOGUE, ledger)))
    effects = re.findall(r"tun</a>: (.*)</li>", unescape(made["commit/quiet.html"].decode()))
    assert effects == [
        'spread "none: all" is gone',
        'spread "none: first" is new',
        'write "0" 1 → 0',
        "read 1 → 0, with fix",
    ]


def test_a_fix_that_newer_builds_lack_is_said_to_be_missing(tmp_path: Path) -> None:
    save(tmp_path, 1, cell(LEFT, "drops", counted=5), cell(RIGHT, "drops", counted=0))
    made = dict(files(read_contents([tmp_path / "run-1"], CATALOGUE, LEDGER)))
    page = made["question/drops.html"].decode()
    assert "<p>Explained by:</p>" in page
    assert "netfilter: count right</a>, which is missing from here on:" in page


def test_a_change_that_no_commit_explains_says_so(tmp_path: Path) -> None:
    save(tmp_path, 1, cell(LEFT, "odd", word="a"), cell(RIGHT, "odd", word="b"))
    made = dict(files(read_contents([tmp_path / "run-1"], CATALOGUE, LEDGER)))
    assert "<p>No known commit explains this.</p>" in made["question/odd.html"].decode()


def test_the_list_of_questions_shows_the_answer_of_each_strip(tmp_path: Path) -> None:
    save(tmp_path, 1, cell(LEFT, "odd", word="a"), cell(RIGHT, "odd", word="b"))
    made = dict(files(read_contents([tmp_path / "run-1"], CATALOGUE, LEDGER)))
    assert f'aria-label="{LEFT}: word a. {RIGHT}: word b"' in made["questions.html"].decode()


def test_a_build_says_what_it_changed_against_the_one_before(tmp_path: Path) -> None:
    made = told(tmp_path)
    document = json.loads(made[f"api/build/{RIGHT}.json"])
    assert document["before"] == LEFT
    assert [
        (change["question"], change["against"], change["facts"][0]["after"]) for change in document["changes"]
    ] == [("drops", LEFT, 0)]
    assert f"what it changed against {LEFT}" in made[f"build/{RIGHT}.html"].decode()
    assert "there is none before it" in made[f"build/{LEFT}.html"].decode()


def test_the_feed_has_an_entry_for_each_build_that_changed_something(tmp_path: Path) -> None:
    made = told(tmp_path)
    space = {"a": "http://www.w3.org/2005/Atom"}
    (entry,) = ElementTree.fromstring(made["changes.atom"]).findall("a:entry", space)
    assert entry.findtext("a:title", "", space) == f"{RIGHT}, against {LEFT}"
    assert entry.findtext("a:updated", "", space) == "2026-11-01T02:00:00+00:00"
    link = entry.find("a:link", space)
    assert link is not None
    assert link.get("href") in made
