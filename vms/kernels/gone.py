"""Which builds the package lists still name although their archive does not have them any more.

An archive drops builds before its lists do. Whoever names such a build is told when it is fetched;
a range means what is at hand, so for ranges the archives are asked before anything is planned. What
they said is remembered until the lists change.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from vms.cache import Cache
from vms.errors import HostError
from vms.interrupt import interrupt
from vms.kernels.apt import vanished
from vms.kernels.catalogue import Catalogue, remember_gone
from vms.kernels.fetch import cached
from vms.kernels.kernel import Kernel
from vms.kernels.resolve import swept
from vms.settings import Debian

_AT_A_TIME = 8


def at_hand(texts: Iterable[str], catalogue: Catalogue, settings: Debian, cache: Cache) -> Catalogue:
    """The catalogue that knows which builds between two points of these specs are gone, so that
    `resolve_all` leaves them out.
    """
    return ask_for(swept(texts, catalogue), catalogue, settings, cache)


def ask_for(kernels: Sequence[Kernel], catalogue: Catalogue, settings: Debian, cache: Cache) -> Catalogue:
    """The catalogue that knows which of these builds of Debian's are gone. Of builds that the cache
    holds nobody is asked.

    An archive that does not answer says nothing: its builds count as there, and fetching them tells
    what is wrong.
    """
    held = {kernel.id for kernel in kernels if cached(kernel, cache)}
    asked = [
        kernel for kernel in kernels if kernel.scheme == "debian" and kernel.id not in held | catalogue.gone
    ]
    pool = ThreadPoolExecutor(_AT_A_TIME, "ask")
    try:
        found = {kernel.id for kernel, gone in zip(asked, pool.map(_gone, asked), strict=True) if gone}
    except BaseException:
        interrupt()
        raise
    finally:
        pool.shutdown(cancel_futures=True)
    if found:
        remember_gone(settings, cache, found)
    return replace(catalogue, gone=(catalogue.gone | found) - held)


def _gone(kernel: Kernel) -> bool:
    try:
        return any(vanished(package) for package in kernel.packages)
    except HostError:
        return False
