"""Where kernels come from: the part of `matrix.toml` about Debian."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace

_WHEN = "{when}"
_DAY = re.compile(r"[0-9A-Za-z][0-9A-Za-z.:_-]{0,63}")


@dataclass(frozen=True)
class Suite:
    """One suite of a Debian archive.

    `archive` is `debian` or `debian-security` (then the mirror is the host's or `Debian.mirror`),
    or a complete URL. `keyring` is a path to the archive's public keys; empty means those of the
    package debian-archive-keyring. `check_valid_until` is whether a Release file past its
    Valid-Until date is an error: by default it is, except that for the host's own mirror the host's
    apt configuration decides.

    An archive that keeps what it was on many days is one suite with `snapshots`, names of such
    days, each of which takes the place of `{when}` in `archive`; their Release files may be past
    their date.
    """

    suite: str
    archive: str = "debian"
    components: tuple[str, ...] = ("main",)
    keyring: str = ""
    check_valid_until: bool | None = None
    snapshots: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if bool(self.snapshots) != (_WHEN in self.archive):
            raise ValueError(
                f"suite {self.suite!r}: `snapshots` are the days that take the place of {_WHEN} in"
                " `archive`; give both or neither"
            )
        for day in self.snapshots:
            if not _DAY.fullmatch(day):
                raise ValueError(
                    f"suite {self.suite!r}: snapshot {day!r} is no name of a day: 20260101T000000Z"
                )

    @property
    def days(self) -> tuple[Suite, ...]:
        """The suite on each day of `snapshots`, in their order."""
        checks = bool(self.check_valid_until)
        return tuple(
            replace(self, archive=self.archive.replace(_WHEN, day), check_valid_until=checks, snapshots=())
            for day in self.snapshots
        )


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

    @property
    def present(self) -> tuple[Suite, ...]:
        """The suites that move on."""
        return tuple(suite for suite in self.suites if not suite.snapshots)
