"""Kernels that are only as real as they must be, their packages, and a repository to serve them."""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import struct
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from email.utils import formatdate
from pathlib import Path

from vms.kernels.catalogue import Catalogue
from vms.kernels.kernel import Kernel, Package
from vms.kernels.order import build_key, release_of_version, series_of
from vms.settings import Debian, Suite

DAY = 86400.0


FLAVOURS = {"cloud": "cloud-amd64", "generic": "amd64", "rt": "rt-amd64"}


def bzimage(path: Path, release: str, size: int = 4096) -> Path:
    """A file with the head of an x86 bzImage of that release; the rest is noise that does not
    compress.
    """
    head = bytearray(0x400)
    head[0x202:0x206] = b"HdrS"
    struct.pack_into("<H", head, 0x206, 0x020F)
    struct.pack_into("<H", head, 0x20E, 0x100)
    text = f"{release} (nobody@nowhere) #1 SMP\0".encode()
    head[0x300 : 0x300 + len(text)] = text
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(bytes(head) + random.Random(release).randbytes(size))
    return path


def kernel_deb(directory: Path, name: str, version: str, files: dict[str, bytes | Path]) -> Path:
    """A .deb file with these files in it."""
    root = directory / f"root-{name}-{version}"
    (root / "DEBIAN").mkdir(parents=True)
    (root / "DEBIAN/control").write_text(
        f"Package: {name}\nVersion: {version}\nArchitecture: amd64\nMaintainer: nobody"
        " <nobody@nowhere>\nDescription: a kernel\n"
    )
    for place, content in files.items():
        (root / place).parent.mkdir(parents=True, exist_ok=True)
        (root / place).write_bytes(content.read_bytes() if isinstance(content, Path) else content)
    path = directory / f"{name}_{version}_amd64.deb"
    subprocess.run(
        ["dpkg-deb", "--build", "--root-owner-group", "-Znone", str(root), str(path)],
        check=True,
        capture_output=True,
    )
    shutil.rmtree(root)
    return path


def image_deb(directory: Path, abi: str, version: str, flavour: str = "cloud-amd64") -> Path:
    """A kernel package of Debian's older, undivided layout."""
    release = f"{abi}-{flavour}"
    image = bzimage(directory / "vmlinuz", release, 1_100_000)
    files: dict[str, bytes | Path] = {
        f"boot/vmlinuz-{release}": image,
        f"boot/config-{release}": b"CONFIG_64BIT=y\n",
        f"lib/modules/{release}/modules.builtin": b"kernel/fs/overlayfs/overlay.ko\n",
        f"lib/modules/{release}/modules.order": b"",
    }
    return kernel_deb(directory, f"linux-image-{release}", version, files)


def entry(abi: str, version: str, flavour: str = "cloud", suite: str = "trixie") -> Kernel:
    """A kernel as a catalogue lists it."""
    release = release_of_version(version)
    name = f"linux-image-{abi}-{FLAVOURS[flavour]}"
    digest = hashlib.sha256(f"{name} {version}".encode()).hexdigest()
    return Kernel(
        name=release if flavour == "cloud" else f"{release}-{flavour}",
        id=f"debian:{abi}-{FLAVOURS[flavour]}={version}",
        series=series_of(release),
        release=release,
        flavour=flavour,
        version=version,
        suite=suite,
        packages=(Package(name, version, digest, 1, f"http://mirror.invalid/{name}_{version}.deb"),),
    )


def catalogue_of(*kernels: Kernel) -> Catalogue:
    """A catalogue that holds them."""
    return Catalogue(tuple(sorted(kernels, key=build_key)))


@dataclass(frozen=True)
class Key:
    """A signing key: the home directory that holds it, and its public half."""

    home: Path
    public: Path


@dataclass
class Repository:
    """A Debian repository with one suite, `stable`, served from `root` at `url`.

    `requests` lists what was asked for (path, Range header). `hang`: a request is accepted and
    never answered. `cut`: an answer ends after that many bytes; with `stall` the connection stays
    open then. `fail`: the status of every answer.
    """

    root: Path
    key: Key
    url: str = ""
    requests: list[tuple[str, str]] = field(default_factory=list)
    hang: bool = False
    cut: int | None = None
    stall: bool = False
    fail: int = 0
    released: threading.Event = field(default_factory=threading.Event)

    @property
    def settings(self) -> Debian:
        return Debian(suites=(self.suite(),))

    def suite(self, name: str = "stable", *, check_valid_until: bool | None = None) -> Suite:
        return Suite(name, self.url, keyring=str(self.key.public), check_valid_until=check_valid_until)

    def add(self, deb: Path) -> None:
        pool = self.root / "pool"
        pool.mkdir(exist_ok=True)
        shutil.move(deb, pool / deb.name)

    def publish(
        self,
        key: Key | None = None,
        valid_for: float = DAY,
        edit: Callable[[bytes], bytes] = lambda listed: listed,
    ) -> None:
        """Lists what lies in the pool, with what `edit` makes of the list, and signs it."""
        directory = self.root / "dists/stable/main/binary-amd64"
        directory.mkdir(parents=True, exist_ok=True)
        stanzas = []
        for deb in sorted((self.root / "pool").glob("*.deb")):
            control = subprocess.run(
                ["dpkg-deb", "--field", str(deb)], check=True, capture_output=True, text=True
            ).stdout
            digest = hashlib.sha256(deb.read_bytes()).hexdigest()
            stanzas.append(
                f"{control}Filename: pool/{deb.name}\nSize: {deb.stat().st_size}\nSHA256: {digest}\n"
            )
        listed = edit("\n".join(stanzas).encode())
        (directory / "Packages").write_bytes(listed)
        now = time.time()
        release = (
            "Origin: Test\nSuite: stable\nCodename: stable\nArchitectures: amd64\nComponents: main\nDate:"
            f" {formatdate(now - 2 * DAY, usegmt=True)}\nValid-Until:"
            f" {formatdate(now + valid_for, usegmt=True)}\nSHA256:\n {hashlib.sha256(listed).hexdigest()}"
            f" {len(listed)} main/binary-amd64/Packages\n"
        )
        subprocess.run(
            ["gpg", "--batch", "--yes", "--clearsign", "--output", str(self.root / "dists/stable/InRelease")],
            input=release.encode(),
            check=True,
            capture_output=True,
            env={**os.environ, "GNUPGHOME": str((key or self.key).home)},
        )


def module(path: Path) -> Path:
    """A real, if empty, ELF object: depmod and strip read it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(
        ["gcc", "-c", "-x", "c", "-g", "-o", str(path), "-"], input=b"int answer = 42;", check=True
    )
    return path
