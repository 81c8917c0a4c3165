"""Packages that hold more, or something else, than a kernel's plain files."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.packages import bzimage
from vms import tool
from vms.errors import FetchError, HostError
from vms.kernels import archive

Member = tuple[tarfile.TarInfo, bytes]


def member(name: str, content: bytes = b"", kind: bytes = tarfile.REGTYPE, link: str = "") -> Member:
    info = tarfile.TarInfo(name)
    info.type, info.size, info.linkname = kind, len(content), link
    return info, content


def tar(path: Path, members: Iterable[Member]) -> Path:
    with tarfile.open(path, "w") as made:
        for info, content in members:
            made.addfile(info, io.BytesIO(content))
    return path


def deb(path: Path, members: Iterable[Member]) -> Path:
    """A .deb file as ar(5) writes it, without what dpkg-deb would refuse to put into one."""
    data = tar(path.with_suffix(".tar"), members).read_bytes()
    whole = b"!<arch>\n"
    for name, content in (("debian-binary", b"2.0\n"), ("data.tar", data)):
        whole += f"{name:<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(content):<10}`\n".encode() + content
        whole += b"\n" * (len(content) % 2)
    path.write_bytes(whole)
    return path


PACK = pytest.mark.parametrize("pack", [deb, tar])


@PACK
def test_a_host_without_bsdtar_reads_that_and_not_that_a_package_is_damaged(
    pack: Callable[[Path, Iterable[Member]], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs = tmp_path / "programs"
    programs.mkdir()
    for name in ("sh", "setpriv"):
        (programs / name).symlink_to(f"/usr/bin/{name}")
    monkeypatch.setattr(tool, "SEARCH_PATH", str(programs))
    with pytest.raises(HostError, match="unpacking package: the program bsdtar is missing on this host"):
        archive.extract(pack(tmp_path / "package", [member("boot/config-6.1")]), tmp_path / "unpacked")


@pytest.fixture
def kernel(tmp_path: Path) -> Member:
    return member("./boot/vmlinuz-6.12.1", bzimage(tmp_path / "v", "6.12.1").read_bytes())


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    """A directory of the user's, which no package may touch."""
    path = tmp_path / "victim"
    path.mkdir()
    (path / "letter.txt").write_text("mine\n")
    return path


@PACK
@pytest.mark.parametrize(
    "place", ["lib", "lib/modules", "lib/modules/6.12.1", "usr/lib/modules/6.12.1", "boot"]
)
def test_a_link_where_a_directory_must_be_is_refused(
    tmp_path: Path, kernel: Member, victim: Path, place: str, pack: Callable[[Path, list[Member]], Path]
) -> None:
    package = pack(tmp_path / "p.deb", [kernel, member(f"./{place}", kind=tarfile.SYMTYPE, link=str(victim))])
    with pytest.raises(FetchError, match=rf"p\.deb: {place} must be a directory"):
        archive.extract(package, tmp_path / "out")
    assert [path.name for path in victim.iterdir()] == ["letter.txt"]


@PACK
def test_a_second_package_does_not_write_through_a_link_of_the_first(
    tmp_path: Path, kernel: Member, victim: Path, pack: Callable[[Path, list[Member]], Path]
) -> None:
    link = member("./usr/share", kind=tarfile.SYMTYPE, link=str(victim))
    inside = member("./lib/modules/6.12.1/kernel", kind=tarfile.SYMTYPE, link=str(victim))
    first = pack(tmp_path / "1.deb", [kernel, link, inside])
    second = pack(
        tmp_path / "2.deb",
        [member("./usr/share/letter.txt", b"!"), member("./lib/modules/6.12.1/kernel/letter.txt", b"!")],
    )
    out = tmp_path / "out"
    archive.extract(first, out)
    archive.extract(second, out)
    assert (victim / "letter.txt").read_text() == "mine\n"
    assert not any(path.is_symlink() for path in out.rglob("*"))
    assert (out / "lib/modules/6.12.1/kernel/letter.txt").read_text() == "!"


def test_what_is_no_file_of_a_kernel_is_not_unpacked(tmp_path: Path, kernel: Member) -> None:
    package = deb(
        tmp_path / "p.deb",
        [
            kernel,
            member("./boot/zeros", bytes(1 << 20)),
            member("./lib/modules/6.12.1/pipe", kind=tarfile.FIFOTYPE),
            member("./lib/modules/6.12.1/disk", kind=tarfile.BLKTYPE),
            member("./lib/modules/6.12.1/a.ko", b"module"),
            member("./usr/lib/modules/6.12.1/b.ko", b"module"),
        ],
    )
    archive.extract(package, tmp_path / "out")
    found = sorted(str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*.*"))
    assert found == [
        "boot/vmlinuz-6.12.1",
        "lib/modules/6.12.1",
        "lib/modules/6.12.1/a.ko",
        "lib/modules/6.12.1/b.ko",
    ]


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("boot/vmlinuz-6.12.1", "a vmlinuz"),
        ("boot/config-6.12.1", "a configuration"),
        ("lib/modules/6.12.1/modules.builtin", "a list of modules"),
    ],
)
def test_a_file_with_a_hole_that_is_too_large_is_refused_unread(tmp_path: Path, name: str, what: str) -> None:
    path = tmp_path / "root" / name
    path.parent.mkdir(parents=True)
    path.touch()
    os.truncate(path, 1 << 40)
    package = tmp_path / "sparse"
    command = [
        "tar",
        "--create",
        "--sparse",
        "--file",
        str(package),
        "--directory",
        str(tmp_path / "root"),
        name,
    ]
    subprocess.run(command, check=True)
    assert package.stat().st_size < 100_000
    with pytest.raises(FetchError, match=f"has {1 << 40} bytes, too many for {what}"):
        archive.extract(package, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("content", [b"", b"!<arch>\n", b"!<arch>\nnothing of the kind", os.urandom(4096)])
def test_a_damaged_package_is_named(tmp_path: Path, content: bytes) -> None:
    package = tmp_path / "damaged.deb"
    package.write_bytes(content)
    with pytest.raises(FetchError, match=r"damaged\.deb"):
        archive.extract(package, tmp_path / "out")


def test_a_package_with_too_many_files_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "_MOST_FILES", 3)
    package = deb(tmp_path / "p.deb", [member(f"lib/modules/1/{number}.ko", b"x") for number in range(4)])
    with pytest.raises(FetchError, match="holds more than 3 files"):
        archive.extract(package, tmp_path / "out")


def test_a_package_that_unpacks_to_too_much_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, "_MOST_BYTES", 3)
    package = deb(tmp_path / "p.deb", [member(f"lib/modules/1/{number}.ko", b"xx") for number in range(4)])
    with pytest.raises(FetchError, match="unpacks to more than"):
        archive.extract(package, tmp_path / "out")


parts = st.sampled_from(
    ["boot", "lib", "usr", "modules", "6.12.1", "..", ".", "", "vmlinuz-1", "a.ko", "/", "-h"]
)
names = st.lists(parts, min_size=1, max_size=6).map("/".join).filter(lambda name: name.strip("/."))
kinds = st.sampled_from(
    [tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE]
)


@settings(max_examples=40)
@given(
    packages=st.lists(
        st.lists(st.tuples(names, kinds, st.sampled_from(["/", "..", "VICTIM", "boot"])), max_size=5),
        min_size=1,
        max_size=2,
    )
)
def test_whatever_packages_hold_nothing_outside_the_target_changes(
    packages: list[list[tuple[str, bytes, str]]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    place = tmp_path_factory.mktemp("p")
    victim, out = place / "victim", place / "out"
    victim.mkdir()
    (victim / "a.ko").write_text("mine")
    for number, members in enumerate(packages):
        made = [
            member(name, b"!" if kind == tarfile.REGTYPE else b"", kind, link.replace("VICTIM", str(victim)))
            for name, kind, link in members
        ]
        try:
            archive.extract(deb(place / f"{number}.deb", made), out)
        except FetchError:
            continue
    assert sorted(path.name for path in place.iterdir() if path.suffix not in (".deb", ".tar")) in (
        ["out", "victim"],
        ["victim"],
    )
    assert [(path.name, path.read_text()) for path in victim.iterdir()] == [("a.ko", "mine")]
    for path in out.rglob("*"):
        assert not path.is_symlink()
        assert path.is_dir() or path.is_file()
