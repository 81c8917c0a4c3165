"""A small kernel of our own, built from Debian's source: what a netfilter developer has in a tree.
It has no nf_tables.

    python -m tests.support.small_kernel

builds it, some minutes on two cores, and prints where its tree lies.

It is built outside its source, which is thrown away; the built tree is kept in the cache.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import sys
from pathlib import Path

from vms import tool
from vms.cache import Cache
from vms.deadline import Deadline
from vms.errors import MatrixError
from vms.kernels.apt import Apt, download
from vms.kernels.catalogue import Catalogue
from vms.kernels.kernel import Package
from vms.settings import Debian

SOURCE = "linux-source-6.1"
LOCAL_VERSION = "-small"
_SECONDS = 3600

# `allnoconfig` plus this. One fragment a purpose; whatever these need, kconfig adds.
_BUILT_IN = """
64BIT SMP PRINTK BUG FUTEX EPOLL SIGNALFD TIMERFD EVENTFD SHMEM AIO POSIX_TIMERS HIGH_RES_TIMERS MULTIUSER
MEMBARRIER ADVISE_SYSCALLS
BINFMT_ELF BINFMT_SCRIPT BLK_DEV_INITRD RD_GZIP DEVTMPFS PROC_FS PROC_SYSCTL SYSFS TMPFS TMPFS_XATTR
UNIX98_PTYS FILE_LOCKING INOTIFY_USER
PCI ACPI TTY VT SERIAL_8250 SERIAL_8250_CONSOLE SERIAL_8250_PCI HYPERVISOR_GUEST PARAVIRT
VIRTIO_MENU VIRTIO_PCI BLK_DEV VIRTIO_BLK VIRTIO_CONSOLE HW_RANDOM HW_RANDOM_VIRTIO
MISC_FILESYSTEMS SQUASHFS SQUASHFS_LZ4 SQUASHFS_XATTR
NAMESPACES UTS_NS USER_NS PID_NS NET_NS
NET PACKET UNIX INET IPV6 SYN_COOKIES NETDEVICES NET_CORE NETFILTER NETFILTER_ADVANCED
NET_9P NET_9P_VIRTIO NETWORK_FILESYSTEMS 9P_FS
MODULES MODULE_UNLOAD
"""
_MODULES = """
OVERLAY_FS TUN
NETFILTER_NETLINK NF_CONNTRACK NF_CT_NETLINK NETFILTER_XTABLES NETFILTER_XT_MATCH_CONNTRACK
NETFILTER_XT_MATCH_STATE NETFILTER_XT_TARGET_CT
NETFILTER_XT_MATCH_COMMENT NF_NAT NETFILTER_XT_NAT NETFILTER_XT_TARGET_MASQUERADE
NETFILTER_XT_TARGET_REDIRECT NF_LOG_SYSLOG
IP_NF_IPTABLES IP_NF_FILTER IP_NF_RAW IP_NF_MANGLE IP_NF_NAT IP6_NF_IPTABLES IP6_NF_FILTER IP6_NF_RAW
IP6_NF_MANGLE
"""
_OPTIONS = (
    "NF_CONNTRACK_EVENTS NF_CONNTRACK_PROCFS NF_CONNTRACK_ZONES NF_CONNTRACK_MARK NF_CONNTRACK_TIMESTAMP"
)


def small_kernel(cache: Cache) -> Path:
    """The built tree, from the cache or built now."""
    package = _source_package(cache)
    key = hashlib.sha256(f"{package.sha256} {_configuration()}".encode()).hexdigest()[:32]
    return cache.ensure(
        "trees", key, lambda tree: _build(package, tree, cache), Deadline(_SECONDS, f"building {SOURCE}")
    )


def _source_package(cache: Cache) -> Package:
    Catalogue.load(Debian(), cache)
    found: dict[str, Package] = {}
    for source in Apt(Debian(), cache).package_lists():
        for stanza in re.findall(
            rf"^Package: {re.escape(SOURCE)}\n(?:.+\n)+", source.path.read_text(), re.MULTILINE
        ):
            fields = dict(line.split(": ", 1) for line in stanza.splitlines() if ": " in line)
            found[fields["Version"]] = Package(
                SOURCE,
                fields["Version"],
                fields["SHA256"],
                int(fields["Size"]),
                f"{source.archive}/{fields['Filename']}",
            )
    return found[max(found, key=lambda version: [int(number) for number in re.findall(r"\d+", version)])]


def _configuration() -> str:
    lines = [f"CONFIG_{name}=y" for name in (_BUILT_IN + _OPTIONS).split()] + [
        f"CONFIG_{name}=m" for name in _MODULES.split()
    ]
    return "\n".join([*lines, f'CONFIG_LOCALVERSION="{LOCAL_VERSION}"', ""])


def _build(package: Package, tree: Path, cache: Cache) -> None:
    deadline = Deadline(_SECONDS, f"building {SOURCE}")
    scratch = tree / "scratch"
    scratch.mkdir()
    deb = cache.path("downloads", package.sha256)
    deb.parent.mkdir(parents=True, exist_ok=True)
    download(package, deb)
    tool.run(["dpkg-deb", "--extract", str(deb), str(scratch)], deadline)
    deb.unlink()
    tool.run(
        [
            "tar",
            "--extract",
            "--file",
            str(scratch / f"usr/src/{SOURCE}.tar.xz"),
            "--directory",
            str(scratch),
        ],
        deadline,
    )
    source = scratch / SOURCE
    fragment = scratch / "small.config"
    fragment.write_text(_configuration())
    make = ["nice", "-n", "19", "make", "-C", str(source), f"O={tree}", f"-j{os.cpu_count() or 1}"]
    # One builder, one name, one time: the same source gives the same bytes.
    same = {
        "KBUILD_BUILD_TIMESTAMP": "1970-01-01",
        "KBUILD_BUILD_USER": "nobody",
        "KBUILD_BUILD_HOST": "nowhere",
    }
    tool.run([*make, f"KCONFIG_ALLCONFIG={fragment}", "allnoconfig"], deadline, environment=same)
    tool.run([*make, "bzImage", "modules"], deadline, environment=same)
    shutil.rmtree(scratch)
    for path in tree.rglob("*"):  # a tenth is left
        if path.is_symlink() or (
            path.is_file() and (path.suffix in (".o", ".a", ".cmd") or path.name.startswith("vmlinux"))
        ):
            path.unlink()


if __name__ == "__main__":
    try:
        print(small_kernel(Cache.default()))
    except MatrixError as error:
        sys.exit(str(error))
