"""A run in which every text a guest could choose is an attack."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from bench import generate
from matrix.results.directory import cell_path
from matrix.results.record import FactValue, Record, Status
from tests.support.pages import no_violations, write_page

pytestmark = pytest.mark.browser

MARKUP = (
    "</script><script>window.owned=1</script><img src=x onerror='window.owned=1'><svg onload=window.owned=1>"
    "<style>*{display:none}</style>\"' onfocus=window.owned=1 autofocus x='{{7*7}}{%raw%}<!--"
)
ESCAPES = "\x1b]0;owned\x07\x1b[2J\x00\r\u202etxt.exe\u2066\u200b\ud800\u2028"
ATTACK = MARKUP + ESCAPES + "A" * 300_000
NUMBERS = {"__proto__": 1, "constructor": 2, "toString": 3, MARKUP: 4}


@pytest.fixture(scope="module")
def hostile_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("hostile")
    entries, catalogue = generate.kernels(4), generate.experiments(3)
    name, gone = next(iter(catalogue)), "__proto__"
    del catalogue[list(catalogue)[2]]
    records = []
    for number, entry in enumerate(entries):
        facts: dict[str, FactValue] = {
            "packets": number,
            "verdict": ATTACK,
            "states": NUMBERS | {str(n): n for n in range(500)},
            "list": [ATTACK] * 300,
            MARKUP: ATTACK,
            "__proto__": 1,
        }
        status = list(Status)[number % 2]
        records.append(
            Record(
                entry.name,
                name,
                {},
                status,
                facts,
                ATTACK,
                evidence=("conntrack.txt", "capture.pcap", "dmesg.txt"),
            )
        )
        records.append(
            Record(
                entry.name,
                gone,
                {MARKUP: MARKUP},
                Status.UNSUPPORTED,
                {},
                ATTACK,
                evidence=("conntrack.txt",),
            )
        )
        for record in records[-2:-1]:
            directory = cell_path(run, record)
            directory.mkdir(parents=True)
            (directory / "conntrack.txt").write_bytes(ATTACK.encode("utf-8", "surrogatepass"))
            (directory / "dmesg.txt").write_bytes(bytes(range(256)) * 4000)
            (directory / "capture.pcap").write_bytes(generate.capture(3)[:-7] + MARKUP.encode())
    return write_page(run, records, catalogue, entries)


def test_nothing_of_it_runs_hides_or_spreads(page: Page, hostile_run: Path) -> None:
    assert hostile_run.stat().st_size < 1_000_000
    page.goto(hostile_run.as_uri())
    name = page.locator("tr.r .name b").first.inner_text()
    page.get_by_role("button", name="all facts").click()
    for column in range(2, 6):
        page.locator(f"tr.r >> nth=0 >> css=td:nth-child({column})").click()
        panel = page.get_by_role("dialog", name=name)
        expect(panel).to_contain_text("198.18.0.2:10001")
        for summary in panel.locator("summary").all():
            if not summary.evaluate("summary => summary.parentElement.open"):
                summary.click()
        assert "</script><script>window.owned=1</script>" in panel.inner_text()
        assert "\u241b]0;owned" in panel.inner_text()
        assert panel.locator("img, svg[onload], style, script, iframe").count() == 0
    no_violations(page)
    page.keyboard.press("Escape")
    page.locator("tr.r > th").first.click()
    expect(page.locator("#panel")).to_contain_text("behaviours")
    assert page.evaluate("window.owned") is None
    assert page.evaluate("({}).packets") is None
    assert page.locator("img, svg[onload], iframe").count() == 0
    assert (
        page.evaluate(
            "[...document.querySelectorAll('*')].flatMap(e => e.getAttributeNames()).filter(n =>"
            " n.startsWith('on'))"
        )
        == []
    )


def test_its_rows_can_still_be_found_and_linked_to(page: Page, hostile_run: Path) -> None:
    page.goto(hostile_run.as_uri())
    page.locator("tr.r > td").last.click()
    expect(page.locator("#panel")).to_contain_text("unsupported")
    address = page.url
    page.goto("about:blank")
    page.goto(address)
    expect(page.locator("#panel")).to_contain_text("</script>")
    for query in ("fact:__proto__=1", "fact:constructor", "fact:states.__proto__=1", "__proto__"):
        page.get_by_role("searchbox").fill(query)
        assert page.locator("tr.r:visible").count() == (0 if query == "fact:constructor" else 1), query
    page.get_by_role("searchbox").fill("fact:states=1")
    expect(page.locator("#query-answer")).to_have_text("0 of 2 rows")
    page.get_by_role("searchbox").fill("status:constructor")
    expect(page.locator("#query-answer")).to_contain_text("No status is called “constructor”")
    page.get_by_role("searchbox").fill(MARKUP)
    assert page.evaluate("window.owned") is None


@pytest.mark.parametrize(
    "state",
    [
        "#cell=__proto__@__proto__",
        "#row=constructor",
        "#q=%3Cimg+src%3Dx+onerror%3Dalert(1)%3E",
        "#from=__proto__&to=%00",
        "#cell=%FF%ED%A0%80",
    ],
)
def test_a_hostile_address_does_nothing(page: Page, hostile_run: Path, state: str) -> None:
    page.goto(hostile_run.as_uri() + state)
    expect(page.locator("#panel")).to_be_hidden()
    assert page.locator("img").count() == 0
    assert page.locator(".kernels th:visible").count() == 5
