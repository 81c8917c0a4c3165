from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from vms import doctor
from vms.cache import Cache
from vms.doctor import Finding, examine
from vms.errors import HostError
from vms.qemu_binary import Binary
from vms.settings import Debian

DEBIAN = Debian("http://deb.example.org/debian")


@pytest.fixture
def look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Finding]:
    monkeypatch.setattr(doctor, "find_qemu", lambda: Binary("/usr/bin/qemu", "7.2.22", "7.2.22 1 2"))
    monkeypatch.setattr(doctor, "host_apt", lambda: SimpleNamespace(mirror=""))

    def one(what: str, debian: Debian = DEBIAN) -> Finding:
        return next(
            finding
            for finding in examine(debian, Cache(tmp_path / "cache"), tmp_path / "packages.txt")
            if finding.what == what
        )

    (tmp_path / "packages.txt").write_text(
        "# why\nbase-files  -  there on every Debian\nno-such-package-here  test  only tests need it\n"
    )
    return one


def test_packages_that_only_tests_need_are_not_missing(look: Callable[[str], Finding]) -> None:
    assert look("Debian packages") == Finding("Debian packages", True, "all 1 installed")


def test_missing_packages_are_named_with_the_command_that_installs_them(
    look: Callable[[str], Finding], tmp_path: Path
) -> None:
    (tmp_path / "packages.txt").write_text("base-files - x\nno-such-package-here - y\n")
    finding = look("Debian packages")
    assert not finding.good
    assert finding.found == "missing: no-such-package-here"
    assert finding.advice == "as root, run: apt-get install --no-install-recommends no-such-package-here"


def test_debian_packages_txt_of_the_project_can_be_read(tmp_path: Path) -> None:
    first = next(examine(Debian("http://deb.example.org/debian"), Cache(tmp_path)))
    assert first.what == "Debian packages"
    assert "chromium" not in first.found + first.advice


def test_doctor_says_what_a_user_lacks_who_may_not_make_the_userland(
    look: Callable[[str], Finding], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(what: str, _place: Path, *, fakechroot: bool) -> None:
        assert fakechroot
        raise HostError(f"{what}: as root, run: usermod")

    assert look("user").good or os.geteuid() != 0
    monkeypatch.setattr(doctor, "check_user", refuse)
    finding = look("user")
    assert (finding.good, finding.found) == (False, "the guests' userland: as root, run: usermod")


def test_doctor_shows_qemu_or_why_there_is_none(
    look: Callable[[str], Finding], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert look("QEMU") == Finding("QEMU", True, "7.2.22 (/usr/bin/qemu)")

    def none() -> Binary:
        raise HostError("qemu-system-x86_64 is not on the PATH")

    monkeypatch.setattr(doctor, "find_qemu", none)
    finding = look("QEMU")
    assert not finding.good
    assert "not on the PATH" in finding.found


def test_doctor_wants_memory_for_at_least_one_guest(
    look: Callable[[str], Finding], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert look("memory").good
    monkeypatch.setattr(doctor, "GUEST_MEMORY", 1 << 30)
    assert not look("memory").good


def test_doctor_wants_room_in_the_cache(
    look: Callable[[str], Finding], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _path: SimpleNamespace(free=6_000_000_000))
    assert "6.0 GB free" in look("cache").found
    assert look("cache").good
    monkeypatch.setattr("shutil.disk_usage", lambda _path: SimpleNamespace(free=1_000_000))
    assert not look("cache").good
    monkeypatch.setattr("os.access", lambda _path, _mode: False)
    assert "cannot be written" in look("cache").found


def test_doctor_shows_the_mirror_and_where_it_is_set(look: Callable[..., Finding]) -> None:
    assert look("Debian mirror") == Finding(
        "Debian mirror",
        True,
        "http://deb.example.org/debian (from matrix.toml)",
        look("Debian mirror").advice,
    )
    assert not look("Debian mirror", Debian()).good


def test_what_only_the_virtme_backend_lacks_is_said_and_not_bad(
    look: Callable[[str], Finding], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "lacking", lambda: "nft; as root, run: apt-get install nftables")
    assert look("virtme backend") == Finding(
        "virtme backend", True, "not usable, this host lacks nft; as root, run: apt-get install nftables"
    )
    monkeypatch.setattr(doctor, "lacking", lambda: "")
    assert look("virtme backend").found == "usable"
