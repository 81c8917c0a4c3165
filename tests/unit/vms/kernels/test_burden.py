from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.fakes import make_kernel
from vms.kernels.burden import Burden, burden
from vms.kernels.kernel import BootFiles


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ("", Burden()),
        ("CONFIG_KASAN_GENERIC=y\n# CONFIG_KASAN is not set\nCONFIG_TEST_KASAN=m\n", Burden()),
        ("CONFIG_KASAN=y\nCONFIG_KASAN_GENERIC=y\n", Burden(5.0, 2.0)),
        ("CONFIG_KASAN=y\nCONFIG_PROVE_LOCKING=y\n", Burden(15.0, 2.5)),
        ("CONFIG_KASAN=y\nCONFIG_KMSAN=y\nCONFIG_PROVE_LOCKING=y\n", Burden(20.0, 4.0)),
    ],
)
def test_debugging_options_that_are_set_give_a_guest_more_time_and_memory(
    tmp_path: Path, config: str, expected: Burden
) -> None:
    (tmp_path / "config").write_text(config)
    files = BootFiles(make_kernel("6.1.1"), "6.1.1", tmp_path, tmp_path, tmp_path / "config", {})
    assert burden(files) == expected


def test_a_kernel_without_a_configuration_gets_what_is_usual(tmp_path: Path) -> None:
    assert burden(BootFiles(make_kernel("6.1.1"), "6.1.1", tmp_path, tmp_path, None, {})) == Burden()
