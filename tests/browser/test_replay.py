"""The command that a cell shows asks that cell's kernel, and the variants of its row, no others."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from playwright.sync_api import Page

from bench import generate
from matrix.plan.plan import variant_name
from matrix.plan.selection import choose
from matrix.results.record import Record, Status
from tests.support.fakes import make_experiment
from tests.support.pages import write_page

pytestmark = pytest.mark.browser

KERNELS = generate.kernels(2)
CATALOGUE = {
    "table-full": make_experiment(
        "table-full", variants={"frontend": ("legacy", "nft", "native"), "scope": ("user", "root")}
    )
}


def behaviour_alike(variant: Mapping[str, str]) -> int:
    return 1


def behaviour_of_a_product(variant: Mapping[str, str]) -> int:
    return 1 + (variant["scope"] == "root") + 2 * (variant["frontend"] == "native")


def behaviour_of_no_product(variant: Mapping[str, str]) -> int:
    return 1 + ((variant["scope"] == "root") != (variant["frontend"] == "nft"))


@pytest.mark.parametrize(
    ("behaviour", "asked"),
    [
        (behaviour_alike, True),
        (behaviour_of_a_product, True),
        (behaviour_of_no_product, True),
        (behaviour_of_a_product, False),
    ],
)
def test_the_command_asks_the_row_and_nothing_else(
    page: Page, tmp_path: Path, behaviour: Callable[[Mapping[str, str]], int], asked: bool
) -> None:
    variants = [
        variant for variant in CATALOGUE["table-full"].combinations() if asked or variant["scope"] == "user"
    ]
    records = [
        Record(kernel.name, "table-full", variant, Status.PASS, {"packets": behaviour(variant)})
        for variant in variants
        for kernel in KERNELS
    ]
    page.goto(write_page(tmp_path, records, CATALOGUE, KERNELS).as_uri())
    found = []
    for row in page.locator("tr.r").all():
        row.locator("td").nth(1).click()
        words = shlex.split(page.locator("#panel .replay pre").inner_text())
        assert words[:4] == ["./invoke", "matrix", "-k", KERNELS[1].id]
        specs = [word for flag, word in zip(words[4::2], words[5::2], strict=True) if flag == "-e"]
        (choice,) = choose(specs, CATALOGUE)
        assert len({behaviour(variant) for variant in choice.variants}) == 1
        found += [variant_name(variant) for variant in choice.variants]
        page.keyboard.press("Escape")
    assert sorted(found) == sorted(map(variant_name, variants))
