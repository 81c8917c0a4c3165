from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.support.packages import catalogue_of, entry
from tests.support.specs import specs_of
from vms.errors import UsageError
from vms.kernels.kernel import Kernel
from vms.kernels.select import FindGone, select, select_existing

OLD, NEW = entry("6.12.116+deb13", "6.12.116-1"), entry("6.12.118+deb13", "6.12.118-1")
BUILDS = catalogue_of(OLD, NEW)


def gone(asked: list[str], *ids: str) -> FindGone:
    """Writes down about which builds it is asked, and answers these ids."""

    def find(kernels: Sequence[Kernel]) -> frozenset[str]:
        asked.extend(kernel.version for kernel in kernels)
        return frozenset(ids)

    return find


def test_a_range_skips_builds_that_are_gone_and_a_warning_names_them() -> None:
    asked: list[str] = []
    found = select(specs_of(["6.12.*"]), BUILDS, Path(), gone(asked, OLD.id))
    assert asked == ["6.12.116-1", "6.12.118-1"]
    assert (found.kernels, found.gone, found.gone_versions) == ((NEW,), (OLD,), ("6.12.116-1",))
    assert found.warning == (
        "skipped 1 build that is no longer in the archive (6.12.116-1); closest available: 6.12.118-1"
    )


def test_a_range_that_is_all_gone_is_an_error() -> None:
    message = r"6\.12\.\*: 2 builds that are no longer in the archive .* closest available: none"
    with pytest.raises(UsageError, match=message):
        select(specs_of(["6.12.*"]), BUILDS, Path(), gone([], OLD.id, NEW.id))


def test_a_named_build_is_selected_though_it_is_gone_and_no_archive_is_asked_about_it() -> None:
    asked: list[str] = []
    found = select(specs_of(["6.12.116"]), BUILDS, Path(), gone(asked, OLD.id))
    assert (found.kernels, found.warning) == ((OLD,), "")
    assert not asked


def test_without_an_archive_to_ask_what_the_catalogue_knows_counts() -> None:
    found = select(specs_of(["all"]), BUILDS, Path())
    assert (found.kernels, found.gone) == ((OLD, NEW), ())


def test_a_spec_that_means_nothing_any_more_is_skipped() -> None:
    assert select_existing(specs_of(["6.12.10", "6.12"]), BUILDS, Path()) == (NEW,)
