from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.processes import happens
from vms import image, mmdebstrap, tool
from vms.cache import Cache
from vms.deadline import Deadline
from vms.errors import FetchError, HostError, UsageError
from vms.image import PACKAGES, SUITE, build_image
from vms.settings import Debian, Suite

STATUS = (
    b"Package: python3\nStatus: install ok installed\nVersion: 3.13.5-1\n\nPackage: conntrack\nVersion:"
    b" 1:1.4.8-2\n"
)
DEBIAN = Debian(mirror="http://mirror.invalid/debian")


class Bootstrap:
    """Stands in for mmdebstrap: remembers what it was told, and writes a tar file or fails."""

    def __init__(self, directory: Path) -> None:
        self.program = directory / "mmdebstrap"
        self.said = directory / "said"
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w") as archive:
            for name, content in (
                ("./usr/bin/busybox", b"busy"),
                ("./var/lib/dpkg/status", STATUS),
                ("./etc/hostname", b"x"),
            ):
                info = tarfile.TarInfo(name)
                info.size, info.mtime = len(content), 1_700_000_000
                archive.addfile(info, io.BytesIO(content))
        (directory / "root.tar").write_bytes(packed.getvalue())
        self.does(f'for word; do case $word in *.tar) cp "{directory}/root.tar" "$word";; esac; done')

    def does(self, script: str) -> None:
        self.program.write_text(
            '#!/bin/sh\n[ "$1" != --unshare-helper ] || { shift; exec "$@"; }\n'
            f'printf "%s\\n" "$TMPDIR" "$@" >"{self.said}"\n{script}\n'
        )
        self.program.chmod(0o755)

    @property
    def words(self) -> list[str]:
        return self.said.read_text().splitlines()


@pytest.fixture
def bootstrap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bootstrap:
    directory = tmp_path / "bin"
    directory.mkdir()
    monkeypatch.setenv("PATH", str(directory), prepend=":")
    monkeypatch.setattr(tool, "SEARCH_PATH", f"{directory}:{tool.SEARCH_PATH}")
    return Bootstrap(directory)


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache")


def soon(seconds: float = 30) -> Deadline:
    return Deadline(seconds, "building the guests' image")


def test_the_image_its_digest_and_its_packages(bootstrap: Bootstrap, cache: Cache) -> None:
    built = build_image(cache, DEBIAN, soon())
    assert built.packages == {"python3": "3.13.5-1", "conntrack": "1:1.4.8-2"}
    assert built.sha256 == hashlib.sha256(built.squashfs.read_bytes()).hexdigest()
    assert built.squashfs.read_bytes()[:4] == b"hsqs"
    assert built.busybox.read_bytes() == b"busy"
    assert os.access(built.busybox, os.X_OK)
    assert not (built.squashfs.parent / "root.tar").exists()


def test_it_is_built_once(bootstrap: Bootstrap, cache: Cache) -> None:
    first = build_image(cache, DEBIAN, soon())
    bootstrap.does("exit 1")
    assert build_image(cache, replace(DEBIAN, mirror="http://elsewhere.invalid/debian"), soon()) == first


@pytest.mark.fault(phase="image", fault="entry damaged", outcome="it is built anew")
def test_a_damaged_one_is_built_anew(bootstrap: Bootstrap, cache: Cache) -> None:
    first = build_image(cache, DEBIAN, soon())
    content = bytearray(first.squashfs.read_bytes())
    content[200] ^= 1
    first.squashfs.write_bytes(content)
    assert (
        build_image(cache, DEBIAN, soon()).sha256 == hashlib.sha256(first.squashfs.read_bytes()).hexdigest()
    )
    assert first.squashfs.read_bytes() != content


@pytest.mark.parametrize("part", ["PACKAGES", "SUITE", "_EXCLUDED", "_SQUASHFS"])
def test_another_recipe_makes_another(
    bootstrap: Bootstrap, cache: Cache, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    first = build_image(cache, DEBIAN, soon())
    changed = {
        "PACKAGES": (*PACKAGES, "more"),
        "SUITE": "forky",
        "_EXCLUDED": (),
        "_SQUASHFS": ("-comp", "zstd", "-quiet"),
    }
    monkeypatch.setattr(image, part, changed[part])
    assert build_image(cache, DEBIAN, soon()).squashfs.parent != first.squashfs.parent


def test_more_packages_make_another_beside_the_usual_one(bootstrap: Bootstrap, cache: Cache) -> None:
    usual = build_image(cache, DEBIAN, soon())
    larger = build_image(cache, DEBIAN, soon(), ("socat",))
    assert f"--include={','.join((*PACKAGES, 'socat'))}" in bootstrap.words
    assert larger.squashfs.parent != usual.squashfs.parent
    bootstrap.does("exit 1")
    assert build_image(cache, DEBIAN, soon(), ("socat",)) == larger


APT = {
    "3.0": "E: Unable to correct problems, you have held broken packages.",
    "3.1": "E: Unable to satisfy dependencies. Reached two conflicting assignments:",
}


@pytest.mark.parametrize("said", APT.values(), ids=APT)
def test_systemd_is_taken_only_by_a_package_that_needs_it(
    bootstrap: Bootstrap, cache: Cache, said: str
) -> None:
    makes = bootstrap.program.read_text().splitlines()[-1]
    refuses = f'case "$*" in *systemd-standalone-sysusers*systemd-resolved*) echo "{said}"; exit 25;; esac'
    bootstrap.does(f"{refuses}\n{makes}")
    build_image(cache, DEBIAN, soon(), ("socat",))
    assert f"--include={','.join((*PACKAGES, 'socat'))}" in bootstrap.words
    build_image(cache, DEBIAN, soon(), ("systemd-resolved",))
    others = [name for name in PACKAGES if name != "systemd-standalone-sysusers"]
    assert f"--include={','.join((*others, 'systemd-resolved'))}" in bootstrap.words


def test_mirror_and_keys_are_those_of_the_configuration(
    bootstrap: Bootstrap, cache: Cache, tmp_path: Path
) -> None:
    keyring = tmp_path / "keys.gpg"
    keyring.touch()
    build_image(cache, replace(DEBIAN, suites=(Suite("sid"), Suite(SUITE, keyring=str(keyring)))), soon())
    source = bootstrap.words[-1]
    assert source.startswith("deb [")
    assert f"signed-by={keyring}" in source
    assert source.endswith(f"http://mirror.invalid/debian {SUITE} main")
    assert f"--include={','.join(PACKAGES)}" in bootstrap.words


@pytest.mark.fault(phase="image", fault="program fails", outcome="an error in its words; nothing is left")
def test_its_own_words_when_it_fails_and_nothing_is_left(bootstrap: Bootstrap, cache: Cache) -> None:
    bootstrap.does('touch "$TMPDIR/left"; echo "I: working"; echo "E: no key for this mirror"; exit 25')
    with pytest.raises(
        FetchError, match="building the guests' image: mmdebstrap failed: E: no key for this mirror"
    ):
        build_image(cache, DEBIAN, soon())
    assert not Path(bootstrap.words[0]).exists()
    assert [path.suffix for path in (cache.root / "images").iterdir()] == [".lock"]


@pytest.mark.parametrize(
    "said",
    ["E: Unable to locate package nmpa", "E: Package 'nmpa' has no installation candidate"],
)
def test_a_package_that_debian_does_not_have_is_wrong_use(
    bootstrap: Bootstrap, cache: Cache, said: str
) -> None:
    bootstrap.does(f'echo "I: working"; echo "{said}"; echo "E: apt-get failed"; exit 25')
    with pytest.raises(UsageError, match=r"\[image\] packages: Debian trixie has no package 'nmpa'"):
        build_image(cache, DEBIAN, soon(), ("socat", "nmpa"))
    with pytest.raises(FetchError, match="mmdebstrap failed"):
        build_image(cache, DEBIAN, soon(), ("socat",))


@pytest.mark.fault(phase="image", fault="program missing", outcome="an error that names the program")
def test_a_missing_mmdebstrap_is_named(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mmdebstrap, "PROGRAM", "mmdebstrap-that-is-not-there")
    with pytest.raises(HostError, match="mmdebstrap-that-is-not-there is missing on this host"):
        build_image(cache, DEBIAN, soon())


@pytest.mark.fault(phase="image", fault="tool killed", outcome="the next build removes what was left")
def test_what_a_killed_build_left_is_removed_first(
    bootstrap: Bootstrap, cache: Cache, temporary: Path
) -> None:
    left = temporary / "conntrack-matrix-image-abcdefgh"
    (left / "mmdebstrap.old").mkdir(parents=True)
    bootstrap.does(f'ls -A {temporary} >"{bootstrap.said}.seen"; exit 1')
    with pytest.raises(FetchError):
        build_image(cache, DEBIAN, soon())
    [name] = Path(f"{bootstrap.said}.seen").read_text().split()
    assert name != left.name
    assert not list(temporary.iterdir())


def test_mmdebstrap_works_where_no_other_user_can_write_or_list(
    bootstrap: Bootstrap, cache: Cache, temporary: Path
) -> None:
    bootstrap.does(f'stat -c "%a %u" "$TMPDIR" >"{bootstrap.said}.seen"; exit 1')
    with pytest.raises(FetchError):
        build_image(cache, DEBIAN, soon())
    assert Path(f"{bootstrap.said}.seen").read_text().split() == ["711", str(os.getuid())]


@pytest.mark.parametrize("kind", ["a link", "a foreign directory", "a foreign file"])
@pytest.mark.fault(phase="image", fault="another user's files", outcome="they stay, and stop no build")
def test_what_others_put_into_the_temporary_directory_stays_and_stops_no_build(
    bootstrap: Bootstrap,
    cache: Cache,
    temporary: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
) -> None:
    """Under the name that was foreseeable once, and under one that looks like a leftover."""
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "letter.txt").write_text("mine")
    whose = hashlib.sha256(str((cache.root / "images").resolve()).encode()).hexdigest()[:8]
    for name in (f"conntrack-matrix-image-{os.getuid()}-{whose}", "conntrack-matrix-image-abcdefgh"):
        path = temporary / name
        if kind == "a link":
            path.symlink_to(mine)
        elif kind == "a foreign directory":
            path.mkdir(mode=0o755)
            (path / "letter.txt").write_text("theirs")
        else:
            path.write_text("theirs")
    if kind == "a foreign directory":
        monkeypatch.setattr(os, "getuid", lambda: 12345)  # so that root can run this test
    before = sorted(temporary.rglob("*"))
    assert build_image(cache, DEBIAN, soon()).busybox.read_bytes() == b"busy"
    assert sorted(temporary.rglob("*")) == before
    assert (mine / "letter.txt").read_text() == "mine"


@pytest.mark.fault(phase="image", fault="tool interrupted", outcome="all that the build started ends")
def test_it_ends_in_order_when_we_are_told_to(bootstrap: Bootstrap, tmp_path: Path) -> None:
    # Its own child, as dpkg would be one, and itself: both hear of it.
    bootstrap.does(
        f'sh -c \'trap "echo child >>{tmp_path}/ended; exit" TERM; touch {tmp_path}/child; while :; do sleep'
        f" 0.05; done' &\ntrap 'wait; echo parent >>{tmp_path}/ended; exit' TERM; touch {tmp_path}/begun;"
        " while :; do sleep 0.05; done"
    )
    process = os.posix_spawn(
        "/usr/bin/setsid", ["setsid", *mmdebstrap.ENDED_WITH_US, str(bootstrap.program)], os.environ
    )
    assert happens(lambda: (tmp_path / "begun").exists() and (tmp_path / "child").exists())
    os.kill(process, 15)
    os.waitpid(process, 0)
    told = tmp_path / "ended"
    assert happens(lambda: told.exists() and len(told.read_text().split()) == 2)


def test_the_description_beside_it_is_json(bootstrap: Bootstrap, cache: Cache) -> None:
    built = build_image(cache, DEBIAN, soon())
    assert json.loads((built.squashfs.parent / "image.json").read_text())["suite"] == SUITE
