"""What a night reports: ten lines, a JSON file, JUnit."""

from __future__ import annotations

import msgspec
import pytest
from junitparser import JUnitXml

from matrix.baseline.outcome import Night
from matrix.report.text.night import summary
from tests.support.fakes import make_experiment
from tests.support.house import House


@pytest.mark.parametrize(
    ("locked", "said"),
    [
        (False, "newer than matrix.lock: 6.12.10; `./invoke lock"),
        (True, "newer than matrix.lock, so not run: 6.12.10; `./invoke lock"),
    ],
)
def test_kernels_that_the_lock_does_not_hold_are_named(house: House, *, locked: bool, said: str) -> None:
    house.since_lock, house.locked = ("6.12.10",), locked
    assert said in summary(house.night(0))
    house.accept()
    assert said in summary(house.night(0))


def test_a_long_line_keeps_its_link(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("matrix.report.text.night.WIDTH", 120)
    house.night(0)
    house.accept()
    house.kernels.append("7.3")
    house.says = lambda kernel, _: {"flows": 7, "drops": 5 if kernel == "7.3" else 3}
    (line,) = [line for line in summary(house.night(1)).splitlines() if "drops" in line]
    assert len(line) <= 122
    assert line.endswith("… (https://git.kernel.org/torvalds/c/b12fa46b12fa46)")


def test_the_summary_of_a_night_has_at_most_ten_lines_and_no_escapes(house: House) -> None:
    house.experiments = [make_experiment(f"e{number}", {"word": str}) for number in range(20)]
    house.kernels = [f"6.{number}.1" for number in range(10, 20)]
    house.says = lambda kernel, experiment: {"word": f"\x1b[31m{kernel}\n{experiment}" * 100}
    night = house.night(0)
    text = summary(night)
    assert len(text.splitlines()) <= 10
    assert all(len(line) <= 210 for line in text.splitlines())
    assert "\x1b" not in text
    assert "more in the report" in text


def test_the_printed_night_is_the_content_of_its_file(house: House) -> None:
    night = house.night(0)
    assert msgspec.json.decode((house.results / night.run / "nightly.json").read_bytes(), type=Night) == night


def test_junit_holds_the_changes(house: House) -> None:
    house.night(0)
    house.accept()
    house.kernels.append("7.3")
    house.says = lambda kernel, _: {"flows": 9, "drops": 5} if kernel == "7.3" else {"flows": 7, "drops": 3}
    night = house.night(1)
    document = JUnitXml.fromstring((house.results / night.run / "report" / "junit.xml").read_bytes())
    (suite,) = [suite for suite in document if suite.name == "changes since the baseline"]
    assert [(case.classname, case.name, bool(case.result)) for case in suite] == [
        ("7.3", "table-full flows", True),
        ("7.3", "table-full drops", False),
    ]


def test_a_noncharacter_in_an_answer_costs_no_night(house: House) -> None:
    house.experiments = [make_experiment("table-full", {"word": str})]
    house.says = lambda kernel, _: {"word": "x"}
    house.night(0)
    house.accept()
    house.kernels.append("7.3")
    house.says = lambda kernel, _: {"word": f"\uffff\0{kernel}"}
    night = house.night(1)
    assert "<U+FFFF>␀7.3" in summary(night)
    report = house.results / night.run / "report" / "junit.xml"
    assert "<U+FFFF>␀7.3".replace("<", "&lt;").replace(">", "&gt;") in report.read_text()
    assert JUnitXml.fromstring(report.read_bytes()).failures == len(night.news) > 0


def test_variants_with_the_same_news_are_one_item(house: House) -> None:
    house.experiments = [
        make_experiment("table-full", {"flows": int, "drops": int}, variants={"scope": ("root", "user")})
    ]
    house.night(0)
    house.accept()
    house.kernels.append("7.3")
    house.says = lambda kernel, _: {"flows": 9 if kernel == "7.3" else 7, "drops": 3}
    night = house.night(1)
    assert [(item.variants, item.label) for item in night.news] == [(("scope=root", "scope=user"), "")]


def test_a_change_is_told_in_words_where_there_are_some(house: House) -> None:
    house.experiments = [make_experiment("slab-size", {"bytes": int})]
    house.says = lambda kernel, _: {"bytes": 256 if kernel == "7.3" else 320}
    house.night(0)
    house.accept()
    house.kernels.append("7.3")
    night = house.night(1)
    assert [item.answers for item in night.news] == [("320 bytes", "256 bytes")]
    assert "unexplained: 6.12.9 -> 7.3: slab-size: 320 bytes -> 256 bytes (bytes)" in summary(night)
