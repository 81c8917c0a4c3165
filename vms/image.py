"""The image: the userland that all guests share, byte for byte, whatever their kernel.

It is one read-only squashfs, made by mmdebstrap from Debian stable. It holds packages only: what
boots a guest and what talks to the host is in the initramfs, so that a change there needs no new
image.

An image is built once for its recipe and stays until it is pruned, so that a new package in Debian
does not change what runs measure. Its digest and the versions of its packages are part of every
result.
"""

from __future__ import annotations

import hashlib
import json
import re
import tarfile
from dataclasses import dataclass
from pathlib import Path

from debian.deb822 import Deb822

from vms import tool
from vms.cache import Cache
from vms.deadline import Deadline
from vms.errors import FetchError, HostError, UsageError
from vms.kernels.apt import source_line
from vms.kernels.digest import sha256_of
from vms.kernels.host_apt import host_apt
from vms.mmdebstrap import ENDED_WITH_US, PROGRAM, workplace
from vms.settings import Debian, Suite

SUITE = "trixie"
# All that openssh-server needs of systemd. The programs of systemd itself do not start under
# fakechroot for a user whom a container's Debian does not know.
_STANDALONE = "systemd-standalone-sysusers"
PACKAGES = (
    "busybox-static",  # PID 1, and the initramfs' only program
    "conntrack",
    "iproute2",
    "iptables",  # both frontends
    "kmod",
    "mount",  # with which a guest's start gives /run, /tmp and /dev/shm file systems of their own
    "netcat-openbsd",
    "nftables",
    "openssh-server",
    "procps",
    "python3",
    "python3-scapy",
    _STANDALONE,
    "tcpdump",
    "util-linux",
)
# Without manuals, which guests do not need, the image is a third smaller.
_EXCLUDED = ("/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*", "/usr/share/info/*")
# lz4 is the cheapest to unpack: without KVM, a guest unpacks every page in emulation. Files keep
# their times, since Python compares compiled bytecode with its source's time.
_SQUASHFS = ("-comp", "lz4", "-no-progress", "-quiet", "-noappend")
_ABSENT = re.compile(r"^E: (?:Unable to locate package |Package ')([^\s']+)", re.MULTILINE)
_CONFLICT = re.compile(r"^E: Unable to (?:correct problems|satisfy dependencies)", re.MULTILINE)
_STATUS = "./var/lib/dpkg/status"
_BUSYBOX = "./usr/bin/busybox"


@dataclass(frozen=True)
class Image:
    """The built image: its squashfs, the static busybox in it, the digest of the squashfs, and the
    version of each Debian package in it.
    """

    squashfs: Path
    busybox: Path
    sha256: str
    packages: dict[str, str]


def build_image(cache: Cache, debian: Debian, deadline: Deadline, more: tuple[str, ...] = ()) -> Image:
    """The image, from the cache or built now. `more` are packages that it holds besides PACKAGES.

    Raises UsageError if Debian has none of these, FetchError if packages cannot be fetched,
    HostError if this host cannot build it.
    """
    return image_at(
        cache.ensure(
            "images",
            image_key(more),
            lambda staging: _build(staging, debian, deadline, more),
            deadline,
            whole,
        )
    )


def held_image(cache: Cache, more: tuple[str, ...] = ()) -> Image | None:
    """The cached image, None if this machine has not built one. `more` as for `build_image`."""
    entry = cache.path("images", image_key(more))
    return image_at(entry) if whole(entry) else None


def image_at(entry: Path) -> Image:
    """The image in this directory."""
    about = json.loads((entry / "image.json").read_text())
    return Image(entry / "root.squashfs", entry / "busybox", about["sha256"], about["packages"])


def image_key(more: tuple[str, ...] = ()) -> str:
    """The key of the image in the cache: a digest of all that determines its content."""
    recipe = json.dumps([SUITE, PACKAGES + more, _EXCLUDED, _SQUASHFS])
    return hashlib.sha256(recipe.encode()).hexdigest()[:32]


def _build(staging: Path, debian: Debian, deadline: Deadline, more: tuple[str, ...]) -> None:
    tar = staging / "root.tar"
    _bootstrap(tar, debian, deadline, more)
    with tarfile.open(tar) as archive:
        installed = Deb822.iter_paragraphs(_member(archive, _STATUS), use_apt_pkg=False)
        packages = {paragraph["Package"]: paragraph["Version"] for paragraph in installed}
        (staging / "busybox").write_bytes(_member(archive, _BUSYBOX))
        (staging / "busybox").chmod(0o755)
    tool.run(["sh", "-c", 'tar=$1 squashfs=$2; shift 2; exec mksquashfs - "$squashfs" -tar "$@" <"$tar"',
              "sh", str(tar), str(staging / "root.squashfs"), *_SQUASHFS], deadline)  # fmt: skip
    tar.unlink()
    about = {"suite": SUITE, "sha256": sha256_of(staging / "root.squashfs"), "packages": packages}
    (staging / "image.json").write_text(json.dumps(about, indent=1))


def whole(entry: Path) -> bool:
    """Whether the image in this directory is unchanged since it was built."""
    # A squashfs packed with lz4 has no checksums: a guest would run a damaged program.
    try:
        return bool(
            json.loads((entry / "image.json").read_text())["sha256"] == sha256_of(entry / "root.squashfs")
        )
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _bootstrap(tar: Path, debian: Debian, deadline: Deadline, more: tuple[str, ...]) -> None:
    with workplace("image-", deadline.what, fakechroot=True) as scratch:
        try:
            _install(tar, debian, deadline, more, scratch)
        except tool.ToolFailed as error:
            if absent := sorted(set(_ABSENT.findall(error.output)) & set(more)):
                raise UsageError(
                    f"matrix.toml: [image] packages: Debian {SUITE} has no package {absent[0]!r}; correct"
                    " its name, or take it out"
                ) from error
            said = [line for line in error.output.splitlines() if line.startswith("E:")]
            raise FetchError(f"{deadline.what}: mmdebstrap failed: {'; '.join(said) or error}") from error


def _install(tar: Path, debian: Debian, deadline: Deadline, more: tuple[str, ...], scratch: Path) -> None:
    """Runs mmdebstrap; without the stand-alone part of systemd where one of the user's packages
    needs systemd itself.
    """

    def run(packages: tuple[str, ...]) -> None:
        tool.run(_command(tar, debian, packages), deadline, environment={"TMPDIR": str(scratch)})

    try:
        run(PACKAGES + more)
    except tool.ToolFailed as error:
        if not (more and _CONFLICT.search(error.output)):
            raise
        run(tuple(name for name in PACKAGES + more if name != _STANDALONE))


def _command(tar: Path, debian: Debian, packages: tuple[str, ...]) -> list[str]:
    suite = next((suite for suite in debian.present if suite.suite == SUITE), Suite(SUITE))
    # mmdebstrap uses chroot as root, a user namespace as any other user, and fakechroot as one who
    # may have none.
    return [
        *ENDED_WITH_US,
        PROGRAM,
        "--variant=essential",
        f"--include={','.join(packages)}",
        '--aptopt=APT::Install-Recommends "false"',
        *(f"--aptopt={option}" for option in host_apt().connection),
        *(f"--dpkgopt=path-exclude={pattern}" for pattern in _EXCLUDED),
        SUITE,
        str(tar),
        source_line(debian, suite),
    ]


def _member(archive: tarfile.TarFile, name: str) -> bytes:
    file = archive.extractfile(name)
    if file is None:
        raise HostError(f"building the guests' image: {name} in the image is not a file")
    return file.read()
