"""Sets of addresses and ports together, as kernels look them up with and without AVX2."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from guest.catalogue import Facts, experiment
from guest.errors import Unsupported
from guest.lab import nftables
from guest.lab.lab import Lab
from guest.lab.packets import udp
from guest.lab.router import Router

_PORTS = {"expired": 53, "first": 1000, "last": 1399, "never there": 9}
_TIMEOUT = 1.0  # second


class ConcatenationExpired(Facts):
    """Facts of `concatenation-expired`."""

    after: Annotated[
        list[str],
        "which of the ports match once one element has expired: that one's, the first and the last of the"
        " others, one that was never there",
    ]
    add: Annotated[str, "what the kernel says when the expired element is added again, without a timeout"]
    again: Annotated[list[str], "the same ports after that"]
    reload: Annotated[str, "what the kernel says to a flush and the same elements in one transaction"]


@experiment(variants={"avx2": ("off", "on")})
def concatenation_expired(lab: Lab) -> ConcatenationExpired:
    """Does an element that expired make a set of addresses and ports match what is not in it?

    A set with a range type holds 400 ports of one address, and before them one more that expires
    after a second; a rule accepts what is in the set, all else is dropped. A lookup that meets the
    expired element goes on behind it. Then the set is flushed and filled with the same in one
    transaction, as when a rule set is loaded again. avx2: whether the processor has AVX2, for which
    kernels have a lookup of their own, and which every server's has.
    """
    has = "avx2" in Path("/proc/cpuinfo").read_text().split()
    if has != (lab.variant["avx2"] == "on"):
        raise Unsupported(f"/proc/cpuinfo: flags {'with' if has else 'without'} avx2")
    place = lab.new_namespace()
    router = place.router(states=False)
    others = ", ".join(f"10.0.1.2 . {port}" for port in range(_PORTS["first"], _PORTS["last"] + 1))
    place.nft("""
        table ip t {
            set s { type ipv4_addr . inet_service; flags interval, timeout; gc-interval 1h; }
            chain c { type filter hook forward priority 0; policy drop; ip saddr . udp dport @s accept; }
        }
    """)
    place.nft(f"add element ip t s {{ 10.0.1.2 . 53 timeout {_TIMEOUT:g}s }}")
    place.nft(f"add element ip t s {{ {others} }}")
    lab.pause(_TIMEOUT + 0.2)
    after = _matching(router)
    with place.inside():
        add = nftables.attempt("add element ip t s { 10.0.1.2 . 53 }")[1]
    again = _matching(router)
    with place.inside():
        reload = nftables.attempt(f"flush set ip t s; add element ip t s {{ {others}, 10.0.1.2 . 53 }}")[1]
    return ConcatenationExpired(after=after, add=add or "ok", again=again, reload=reload or "ok")


def _matching(router: Router) -> list[str]:
    found = []
    for name, port in _PORTS.items():
        router.from_client(udp("10.0.1.2:40000", f"10.0.2.2:{port}"))
        if router.out:
            found.append(name)
    return found


@concatenation_expired.invariant("elements that do not expire match, and what was never in the set does not")
def _(facts: ConcatenationExpired) -> bool:
    return set(facts.after) - {"expired"} == set(facts.again) - {"expired"} == {"first", "last"}
