"""The report in a real browser, opened from disk."""

from __future__ import annotations

import pytest

from tests.browser.conftest import OpenPage

pytestmark = pytest.mark.browser


def test_every_experiment_is_a_row_and_every_kernel_a_column(small: OpenPage) -> None:
    page = small("")
    assert page.locator("tr.r").count() == 14
    assert page.locator(".kernels th:not(.corner)").all_inner_texts()[0].startswith("5.10.10")
    assert page.locator("tr.r").first.locator("td").count() == 6
