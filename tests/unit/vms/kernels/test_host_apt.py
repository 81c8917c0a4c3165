from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from vms.cache import Cache
from vms.errors import HostError, UsageError
from vms.kernels.apt import Apt
from vms.kernels.host_apt import HostApt, host_apt
from vms.settings import Debian, Suite

ONE_LINE = """
deb [arch=amd64] http://mirror.invalid/debian/ bookworm main contrib
deb-src http://other.invalid/debian bookworm main
deb http://mirror.invalid/debian-security bookworm-security main
deb https://download.invalid/linux/debian bookworm stable
"""
DEB822 = """
Types: deb
URIs: http://deb822.invalid/debian
Suites: trixie trixie-updates
Components: main

Types: deb
URIs: http://deb822.invalid/security
Suites: trixie-security
Components: main
"""
Host = Callable[..., HostApt]


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    """A host whose apt is configured with these sources and options."""

    def configured(one_line: str = "", deb822: str = "", options: str = "") -> HostApt:
        (tmp_path / "sources.list").write_text(one_line)
        (tmp_path / "parts").mkdir()
        (tmp_path / "parts/debian.sources").write_text(deb822)
        (tmp_path / "apt.conf").write_text(
            f'Dir::Etc::sourcelist "{tmp_path}/sources.list";\nDir::Etc::sourceparts "{tmp_path}/parts";\n'
            f'Dir::Etc::parts "/dev/null";\nDir::Etc::main "/dev/null";\n{options}\n'
        )
        monkeypatch.setenv("APT_CONFIG", str(tmp_path / "apt.conf"))
        host_apt.cache_clear()
        return host_apt()

    yield configured
    host_apt.cache_clear()


def sources(settings: Debian, cache: Cache) -> str:
    return Apt(settings, cache).sources


def test_mirrors_are_read_from_one_line_sources(host: Host) -> None:
    found = host(one_line=ONE_LINE)
    assert (found.mirror, found.security_mirror) == (
        "http://mirror.invalid/debian",
        "http://mirror.invalid/debian-security",
    )


def test_mirrors_are_read_from_deb822_sources(host: Host) -> None:
    found = host(deb822=DEB822)
    assert (found.mirror, found.security_mirror) == (
        "http://deb822.invalid/debian",
        "http://deb822.invalid/security",
    )


def test_a_host_without_a_debian_mirror_must_set_one(host: Host, cache: Cache) -> None:
    assert host(one_line="deb https://download.invalid/linux/debian bookworm stable\n").mirror == ""
    with pytest.raises(HostError, match=r"no mirror for the suite trixie; set `mirror` under \[debian\]"):
        Apt(Debian(suites=(Suite("trixie"),)), cache)


def test_only_the_proxy_is_taken_from_the_hosts_apt(host: Host) -> None:
    found = host(
        options=(
            'Acquire::http::Proxy "http://proxy.invalid:3142";\nAcquire::http::Proxy::near.invalid'
            ' "DIRECT";\nAcquire::http::Timeout "1";\nAcquire::Retries "9";\nAPT::Update::Post-Invoke {'
            ' "false"; };'
        )
    )
    assert sorted(found.connection) == [
        'Acquire::http::Proxy "http://proxy.invalid:3142";',
        'Acquire::http::Proxy::near.invalid "DIRECT";',
    ]


@pytest.mark.parametrize(
    ("options", "checks"),
    [("", True), ('Acquire::Check-Valid-Until "false";', False), ('Acquire::Check-Valid-Until "0";', False)],
)
def test_whether_the_hosts_mirror_may_lag_behind_is_the_hosts_choice(
    host: Host, cache: Cache, options: str, checks: bool
) -> None:
    host(one_line=ONE_LINE, options=options)
    assert ("check-valid-until=no" not in sources(Debian(suites=(Suite("trixie"),)), cache)) == checks
    assert "check-valid-until=no" not in sources(
        Debian(suites=(Suite("trixie", check_valid_until=True),)), cache
    )
    assert "check-valid-until=no" not in sources(
        Debian(suites=(Suite("trixie", "http://archive.invalid/x"),)), cache
    )


def test_a_mirror_in_matrix_toml_wins_over_the_hosts(host: Host, cache: Cache) -> None:
    host(one_line=ONE_LINE)
    settings = Debian(
        "http://a.invalid/debian",
        "http://b.invalid/s",
        (Suite("trixie"), Suite("trixie-security", "debian-security")),
    )
    lines = sources(settings, cache).splitlines()
    assert lines[0].endswith("http://a.invalid/debian trixie main")
    assert lines[1].endswith("http://b.invalid/s trixie-security main")


def test_a_security_mirror_lies_beside_the_other(host: Host, cache: Cache) -> None:
    host(one_line="deb http://mirror.invalid/debian bookworm main\n")
    settings = Debian(suites=(Suite("trixie-security", "debian-security"),))
    assert sources(settings, cache).endswith("http://mirror.invalid/debian-security trixie-security main\n")


@pytest.mark.parametrize(
    "suite",
    [
        Suite("tri xie"),
        Suite("x", "http://a] b"),
        Suite("x\ndeb http://evil.invalid x"),
        Suite("x", components=("",)),
    ],
)
def test_a_setting_that_a_list_of_sources_cannot_hold_is_refused(
    host: Host, cache: Cache, suite: Suite
) -> None:
    host(one_line=ONE_LINE)
    with pytest.raises(UsageError, match="is not allowed in a list of apt sources"):
        Apt(Debian(suites=(suite,)), cache)


def test_a_missing_keyring_is_named(host: Host, cache: Cache) -> None:
    host(one_line=ONE_LINE)
    with pytest.raises(UsageError, match=r"suite 'x': there is no keyring /nowhere\.gpg"):
        Apt(Debian(suites=(Suite("x", keyring="/nowhere.gpg"),)), cache)
