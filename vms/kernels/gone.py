"""Finds builds that the package lists still name but their archive no longer has.

An archive drops builds before its lists do. A build that the user names is an error when it is
fetched; a range means the builds that are available, so for ranges the archives are asked before
anything is planned. Their answers are valid until the lists change.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from vms.cache import Cache
from vms.errors import HostError
from vms.interrupt import interrupt
from vms.kernels.apt import vanished
from vms.kernels.catalogue import Catalogue, remember_gone
from vms.kernels.fetch import cached
from vms.kernels.kernel import Kernel
from vms.settings import Debian

_AT_A_TIME = 8


def find_gone(
    kernels: Sequence[Kernel], catalogue: Catalogue, settings: Debian, cache: Cache
) -> frozenset[str]:
    """The ids of all builds known to be gone, after asking the archives about those of these
    kernels that are Debian's.

    Builds in the cache are not asked about and count as available. So do builds whose archive does
    not answer: fetching them reports what is wrong.
    """
    held = {kernel.id for kernel in kernels if cached(kernel, cache)}
    asked = [
        kernel for kernel in kernels if kernel.scheme == "debian" and kernel.id not in held | catalogue.gone
    ]
    pool = ThreadPoolExecutor(_AT_A_TIME, "ask")
    try:
        found = {kernel.id for kernel, gone in zip(asked, pool.map(_is_gone, asked), strict=True) if gone}
    except BaseException:
        interrupt()
        raise
    finally:
        pool.shutdown(cancel_futures=True)
    if found:
        remember_gone(settings, cache, found)
    return (catalogue.gone | found) - held


def _is_gone(kernel: Kernel) -> bool:
    try:
        return any(vanished(package) for package in kernel.packages)
    except HostError:
        return False
