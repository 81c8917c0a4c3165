from __future__ import annotations

from xml.etree import ElementTree

from junitparser import TestCase

from matrix.report.export.junit import junit, readable
from tests.support.sample import analysis


def test_statuses_become_junits_words() -> None:
    root = ElementTree.fromstring(junit(analysis()))
    assert root.attrib | {"time": ""} == {
        "name": "conntrack-matrix",
        "tests": "27",
        "failures": "4",
        "errors": "2",
        "skipped": "1",
        "time": "",
    }
    assert [suite.get("name") for suite in root] == ["6.12.9", "5.10.251", "6.12.10", "7.3~rc7"]
    failed = root.find(".//testcase[@name='table-full[frontend=nft]']/failure")
    assert failed is not None
    assert (failed.get("message"), failed.get("type")) == ("does not hold: at most 7 flows", "fail")
    skipped = root.find(".//skipped")
    assert skipped is not None
    assert skipped.get("message") == "modprobe: FATAL: Module ip_tables not found"


def test_what_the_kernel_reported_is_the_errors_of_the_case() -> None:
    root = ElementTree.fromstring(junit(analysis()))
    (reported,) = [
        case.findtext("system-err") for case in root.iter("testcase") if case.find("system-err") is not None
    ]
    assert reported is not None
    assert reported.startswith("WARNING: net/x.c nf_x \u241b[31mred")
    assert reported.endswith("Kernel panic - not syncing: Fatal exception")


def test_characters_that_xml_cannot_hold_are_made_visible() -> None:
    xml = junit(analysis())
    ElementTree.fromstring(xml)
    assert b"\x1b" not in xml
    assert b"<script" not in xml
    assert len(xml) < 100_000


def test_a_case_that_is_not_xml_is_an_error_in_its_place() -> None:
    good = TestCase("good")
    assert readable(good) is good
    bad = readable(TestCase("bad\uffff", classname="6.1.5"))
    read = ElementTree.fromstring(bad.tostring())
    assert "\\uffff" in read.attrib["name"]
    error = read.find("error")
    assert error is not None
    assert error.attrib["message"].startswith("this cell cannot be written as XML")
