"""Where kernels come from, as the user's `matrix.toml` says it."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Suite:
    """One suite of a Debian archive.

    `archive` is `debian` or `debian-security` (then the mirror is the host's own or
    `Debian.mirror`), or a whole URL. `keyring` is a path to the archive's public keys; empty means
    Debian's own keyring package. `check_valid_until`: whether a Release file past its Valid-Until
    date is an error. Unset, it is, except that for the host's own mirror the host's apt
    configuration decides. False is for archives that stand still, like Debian's snapshots.
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
    """The Debian archives. An empty mirror means: the one this host's apt is configured with."""

    mirror: str = ""
    security_mirror: str = ""
    suites: tuple[Suite, ...] = field(default=DEFAULT_SUITES)
