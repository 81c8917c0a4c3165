"""Names in addresses."""

from __future__ import annotations

import hashlib
import re

_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+~-]{0,99}")


def slug(name: str) -> str:
    """The name as part of an address that stays: as it is, if no file system and no browser minds.
    Other names are told apart by a digest.

    >>> slug("6.12.118"), slug("nft rules/icmp")
    ('6.12.118', 'nft-rules-icmp-7aa89a03')
    """
    if _PLAIN.fullmatch(name):
        return name
    cleaned = re.sub(r"[^A-Za-z0-9._+~]+", "-", name).lstrip("-._+~")[:80]
    return f"{cleaned or 'x'}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
