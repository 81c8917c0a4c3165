"""Where kernels come from: the part of `matrix.toml` about Debian."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Suite:
    """One suite of a Debian archive.

    `archive` is `debian` or `debian-security` (then the mirror is the host's or `Debian.mirror`),
    or a complete URL. `keyring` is a path to the archive's public keys; empty means those of the
    package debian-archive-keyring. `check_valid_until` is whether a Release file past its
    Valid-Until date is an error: by default it is, except that for the host's own mirror the host's
    apt configuration decides. False is for snapshot archives, which do not change.
    """

    suite: str
    archive: str = "debian"
    components: tuple[str, ...] = ("main",)
    keyring: str = ""
    check_valid_until: bool | None = None


DEFAULT_SUITES = (
    Suite("bullseye-security", "debian-security"),
    Suite("bookworm"),
    Suite("bookworm-security", "debian-security"),
    Suite("bookworm-backports"),
    Suite("trixie"),
    Suite("trixie-security", "debian-security"),
    Suite("trixie-backports"),
    Suite("sid"),
    Suite("experimental"),
)


@dataclass(frozen=True)
class Debian:
    """The Debian archives. An empty mirror means the one in this host's apt configuration."""

    mirror: str = ""
    security_mirror: str = ""
    suites: tuple[Suite, ...] = field(default=DEFAULT_SUITES)
