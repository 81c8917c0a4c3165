from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from tests.support.packages import Repository, kernel_deb
from vms.cache import Cache
from vms.errors import FetchError, UsageError
from vms.kernels.archive import extract_selftests
from vms.kernels.selftests import debian_selftests

ROOT = "linux-source-6.12/tools/testing/selftests"


def source(directory: Path, members: list[tarfile.TarInfo]) -> Path:
    """Debian's package of a kernel's source, with these members of one line each."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:xz") as archive:
        for info in members:
            content = b"" if info.issym() else b"text\n"
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    files: dict[str, bytes | Path] = {
        "usr/share/doc/linux-source-6.12/copyright": b"GPL\n",
        "usr/src/linux-source-6.12.tar.xz": packed.getvalue(),
    }
    return kernel_deb(directory, "linux-source-6.12", "6.12.1-1", files)


def plain(name: str, mode: int = 0o644) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.mode = mode
    return info


def test_only_the_tests_of_networking_are_written_and_stay_executable(tmp_path: Path) -> None:
    members = [
        plain("linux-source-6.12/Makefile"),
        plain(f"{ROOT}/mm/x.sh", 0o755),
        plain(f"{ROOT}/kselftest.h"),
        plain(f"{ROOT}/net/lib.sh"),
        plain(f"{ROOT}/net/netfilter/nft_a.sh", 0o755),
    ]
    extract_selftests(source(tmp_path, members), tmp_path / "tests")
    found = {str(path.relative_to(tmp_path / "tests")) for path in (tmp_path / "tests").rglob("*.*")}
    assert found == {"kselftest.h", "net/lib.sh", "net/netfilter/nft_a.sh"}
    assert (tmp_path / "tests/net/netfilter/nft_a.sh").stat().st_mode & 0o777 == 0o755
    assert (tmp_path / "tests/net/lib.sh").stat().st_mode & 0o777 == 0o644


def test_nothing_is_written_outside_and_no_link(tmp_path: Path) -> None:
    link = plain(f"{ROOT}/net/link")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc"
    members = [plain(f"{ROOT}/net/../../../../../escaped"), link, plain(f"{ROOT}/net/link/inside")]
    extract_selftests(source(tmp_path, [*members, plain(f"{ROOT}/net/a.sh")]), tmp_path / "tests")
    assert not list(tmp_path.rglob("escaped"))
    assert not any(path.is_symlink() for path in tmp_path.rglob("tests/**/*"))
    assert not Path("/etc/inside").exists()


def test_a_package_that_is_cut_off_is_refused(tmp_path: Path) -> None:
    package = source(tmp_path, [plain(f"{ROOT}/net/a.sh")])
    package.write_bytes(package.read_bytes()[:400])
    with pytest.raises(FetchError):
        extract_selftests(package, tmp_path / "tests")


@pytest.fixture
def archive(published: Repository, tmp_path: Path) -> Repository:
    """A signed archive that has the source of a kernel."""
    published.add(source(tmp_path, [plain(f"{ROOT}/net/netfilter/nft_a.sh", 0o755)]))
    published.publish()
    return published


def test_the_tests_of_a_package_are_fetched_once_and_again_if_damaged(
    archive: Repository, cache: Cache
) -> None:
    tests = debian_selftests("linux-source-6.12", archive.settings, cache)
    assert (tests / "net/netfilter/nft_a.sh").read_text() == "text\n"
    asked = len(archive.requests)
    assert debian_selftests("linux-source-6.12", archive.settings, cache) == tests
    assert len(archive.requests) == asked
    (tests / "net/netfilter/nft_a.sh").write_text("changed\n")
    again = debian_selftests("linux-source-6.12", archive.settings, cache)
    assert (again / "net/netfilter/nft_a.sh").read_text() == "text\n"


def test_a_package_that_no_suite_has_is_refused_with_the_nearest(archive: Repository, cache: Cache) -> None:
    with pytest.raises(UsageError, match=r"no Debian suite has .*did you mean linux-source-6\.12"):
        debian_selftests("linux-source-6.13", archive.settings, cache)


def test_offline_the_tests_must_be_there(archive: Repository, cache: Cache) -> None:
    debian_selftests("linux-source-6.12", archive.settings, cache)
    archive.root.rename(archive.root.with_name("gone"))
    assert debian_selftests("linux-source-6.12", archive.settings, cache, offline=True).is_dir()
    for entry in cache.root.glob("selftests/*"):
        entry.rename(cache.root / entry.name) if entry.is_dir() else None
    with pytest.raises(FetchError, match="are not in the cache; run once without --offline"):
        debian_selftests("linux-source-6.12", archive.settings, cache, offline=True)
