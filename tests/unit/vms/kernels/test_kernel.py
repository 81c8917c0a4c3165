"""Names from packages, mirrors, lock files and strangers' runs, some of which become paths."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.support.packages import entry
from vms.kernels.kernel import BadName, Package

KERNEL = entry("6.12.117+deb13", "6.12.117-1")
PACKAGE = KERNEL.packages[0]


@pytest.mark.parametrize(
    "value",
    ["", "../x", "/etc/passwd", "a/b", "-h", ".hidden", "a..b", "x" * 101, "a\x1b[2J", "a b", "6.12\n", "ä"],
)
@pytest.mark.parametrize("field", ["name", "version", "release", "series", "flavour"])
def test_a_kernel_with_a_name_that_could_be_a_path_is_refused(field: str, value: str) -> None:
    with pytest.raises(BadName, match=f"{field} cannot be"):
        replace(KERNEL, **{field: value})  # type: ignore[arg-type]


@pytest.mark.parametrize("value", ["..", "/x", "0" * 63, "0" * 65, "G" * 64, "A" * 64])
def test_a_package_with_a_digest_that_is_none_is_refused(value: str) -> None:
    with pytest.raises(BadName, match="sha256 cannot be"):
        replace(PACKAGE, sha256=value)


@pytest.mark.parametrize("size", [-1, (4 << 30) + 1])
def test_a_package_of_a_size_that_no_package_has_is_refused(size: int) -> None:
    with pytest.raises(BadName, match=f"size cannot be {size}"):
        replace(PACKAGE, size=size)


@pytest.mark.parametrize(
    "version", ["6.12.117-1", "6.12.95-1~bpo12+1", "1:6.1-2", "6.13.0-rc3-mine+", "7.4~rc1-1~exp1", "6.1_x86"]
)
def test_names_that_distributions_use_are_accepted(version: str) -> None:
    assert replace(KERNEL, name=version, version=version).version == version
    assert Package("linux-image", version, "0" * 64, 1, "file:/x").version == version
