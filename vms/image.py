"""The image: the userland every guest shares, byte for byte, whatever its kernel.

One read-only squashfs, made by mmdebstrap from Debian stable. It holds packages only: what boots a guest and what
talks to the host comes with the initramfs, so that a change there does not cost a new image.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

from vms.cache import Cache
from vms.deadline import Deadline
from vms.errors import FetchError, HostError

SUITE = "trixie"
PACKAGES = (
    "busybox-static",  # PID 1, and the initramfs' only program
    "conntrack",
    "iproute2",
    "iptables",  # both frontends
    "kmod",
    "netcat-openbsd",
    "nftables",
    "openssh-server",
    "procps",
    "python3",
    "python3-scapy",
    "tcpdump",
    "util-linux",
)
# Nobody reads manuals in a guest; without them the image is a third smaller.
_EXCLUDED = ("/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*", "/usr/share/info/*")
# lz4: a guest without KVM unpacks every page it reads in emulation, and lz4 is the cheapest to unpack.
# Files keep their times: Python trusts compiled bytecode by its source's time.
_SQUASHFS = ("-comp", "lz4", "-no-progress", "-quiet", "-noappend")


@dataclass(frozen=True)
class Image:
    """The built image: its squashfs, that file's digest, and the version of every Debian package in it."""

    squashfs: Path
    busybox: Path
    sha256: str
    packages: dict[str, str]


def build_image(cache: Cache, mirror: str, deadline: Deadline) -> Image:
    """The image, from the cache or built now."""
    recipe = json.dumps([SUITE, PACKAGES, _EXCLUDED, _SQUASHFS], sort_keys=True)
    key = hashlib.sha256(recipe.encode()).hexdigest()[:32]
    entry = cache.ensure("image", key, lambda directory: _build(directory, mirror, deadline), deadline)
    about = json.loads((entry / "image.json").read_text())
    return Image(entry / "root.squashfs", entry / "busybox", about["sha256"], about["packages"])


def _build(directory: Path, mirror: str, deadline: Deadline) -> None:
    tar = directory / "root.tar"
    _run(
        [
            "mmdebstrap",
            "--variant=essential",
            f"--include={','.join(PACKAGES)}",
            '--aptopt=APT::Install-Recommends "false"',
            *(f"--dpkgopt=path-exclude={pattern}" for pattern in _EXCLUDED),
            f"--customize-hook=copy-out /usr/bin/busybox {directory}",
            f"--customize-hook=chroot $1 dpkg-query -W -f '${{Package}} ${{Version}}\\n' > {directory}/packages",
            SUITE,
            str(tar),
            f"deb {mirror} {SUITE} main",
        ],
        deadline,
    )
    with tar.open("rb") as stream:
        _run(["mksquashfs", "-", str(directory / "root.squashfs"), "-tar", *_SQUASHFS], deadline, stdin=stream)
    tar.unlink()
    packages = dict(line.split() for line in (directory / "packages").read_text().splitlines())
    (directory / "packages").unlink()
    with (directory / "root.squashfs").open("rb") as stream:
        sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
    (directory / "image.json").write_text(json.dumps({"sha256": sha256, "packages": packages}, indent=1))


def _run(command: list[str], deadline: Deadline, stdin: object = None) -> None:
    try:
        subprocess.run(command, stdin=stdin, capture_output=True, text=True, errors="replace", check=True, timeout=deadline.remaining)  # type: ignore[call-overload]
    except FileNotFoundError as error:
        raise HostError(f"{deadline.what}: {command[0]} is not installed") from error
    except subprocess.TimeoutExpired as error:
        raise HostError(f"{deadline.what}: {command[0]} did not end within {deadline.seconds:g} s") from error
    except subprocess.CalledProcessError as error:
        raise FetchError(f"{deadline.what}: {command[0]} failed:\n{error.stderr[-2000:]}") from error
