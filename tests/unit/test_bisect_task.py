"""What `./invoke bisect` makes of its words: the range, its ends, and what of it can be had."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from commands.bisecting import _range
from matrix.plan.project import Project
from tests.support.builds import BUILDS
from vms.errors import UsageError
from vms.kernels.catalogue import Catalogue
from vms.kernels.kernel import Kernel
from vms.kernels.spec import parse

HERE = {"6.12.107-1", "6.12.117-1"}


def project(gone: Sequence[str] = (), *, offline: bool = False) -> Project:
    """A project with all builds, of which the archive lacks some."""

    def find_gone(kernels: Sequence[Kernel]) -> frozenset[str]:
        return frozenset(kernel.id for kernel in kernels if kernel.version in gone)

    fake: Any = SimpleNamespace(
        builds=Catalogue(BUILDS), root=Path(), cache=None, offline=offline, find_gone=find_gone
    )
    return cast(Project, fake)


def versions(old: str, new: str, of: Project) -> list[str]:
    return [kernel.version for kernel in _range(of, parse(old), parse(new))]


def test_a_range_is_every_build_from_one_end_to_the_other() -> None:
    assert versions("6.12.113", "6.12", project()) == [
        "6.12.113-1",
        "6.12.115-2",
        "6.12.116-1",
        "6.12.117-1",
        "6.12.118-1",
    ]


def test_builds_that_are_gone_are_left_out_but_an_end_is_not() -> None:
    gone = ("6.12.113-1", "6.12.116-1")
    assert versions("6.12.113", "6.12", project(gone)) == [
        "6.12.113-1",
        "6.12.115-2",
        "6.12.117-1",
        "6.12.118-1",
    ]


def test_offline_the_range_is_what_the_cache_has_and_both_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vms.kernels.fetch.cached", lambda kernel, _cache: kernel.version in HERE)
    assert versions("6.12.105", "6.12", project(offline=True)) == [
        "6.12.105-1",
        "6.12.107-1",
        "6.12.117-1",
        "6.12.118-1",
    ]


def test_an_end_that_means_several_builds_is_refused() -> None:
    with pytest.raises(UsageError) as caught:
        versions("6.12.*", "7.3", project())
    assert str(caught.value).startswith("OLD '6.12.*' means ")
    assert "builds; give one, for example 6.12.43-1~bpo12+1" in str(caught.value)
