from __future__ import annotations

import json

import jinja2
import pytest

from matrix.report.inline import digest, embedded_json, joined, template


def test_embedded_json_holds_nothing_that_ends_a_script() -> None:
    text = "</script><!--<script>\u2028&amp;"
    written = embedded_json({"facts": text})
    assert not set("<>&\u2028") & set(written)
    assert json.loads(written) == {"facts": text}


def test_a_digest_is_what_a_policy_calls_the_text() -> None:
    assert digest("alert('Hello, world.');") == "sha256-qznLcsROx4GACP2dm0UCKCzCG+HiZ1guq6ZZDob/Tng="


def test_the_files_of_a_script_share_one_scope_that_no_other_script_sees() -> None:
    script = joined(["dom.js", "theme.js"])
    assert script.startswith("(() => {\n'use strict';\n")
    assert script.index("const dom =") < script.index("const theme =")
    assert script.endswith("})();\n")


def test_a_template_refuses_what_it_was_not_given() -> None:
    with pytest.raises(jinja2.UndefinedError):
        template("report.html.j2").render()
