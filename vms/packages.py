"""The Debian packages that a run needs, and which of them this host lacks."""

from __future__ import annotations

import subprocess
from pathlib import Path

from vms.errors import HostError
from vms.program import CODE, COMMAND

LISTING = CODE / "debian-packages.txt"
"""One package a line: its name, `-` if runs need it, its purpose."""
_SECONDS = 20


def needed(listing: Path = LISTING) -> list[str]:
    """The packages that runs need."""
    lines = [
        line.split() for line in listing.read_text().splitlines() if line.strip() and not line.startswith("#")
    ]
    return [words[0] for words in lines if words[1] == "-"]


def missing(listing: Path = LISTING) -> list[str]:
    """The packages that runs need and that are not installed.

    Raises HostError if dpkg cannot be asked.
    """
    wanted = needed(listing)
    command = ["dpkg-query", "--show", "--showformat=${db:Status-Status} ${Package}\n", *wanted]
    try:
        # It omits packages that it does not know, and then ends with 1.
        said = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=_SECONDS, check=False
        )
    except FileNotFoundError as error:
        raise HostError(
            "this is not a Debian system: dpkg-query is missing. What the Debian packages"
            f" {' '.join(wanted)} hold must come from elsewhere"
        ) from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise HostError(f"asking dpkg which packages are installed: {error}") from error
    installed = {line.split()[1] for line in said.stdout.splitlines() if line.startswith("installed ")}
    return [name for name in wanted if name not in installed]


def install_line(names: list[str]) -> str:
    """The command that installs Debian packages; root has to run it."""
    return f"apt-get install --no-install-recommends {' '.join(names)}"


def remedy() -> str:
    """What to do if a program is missing, for the end of an error message."""
    try:
        names = missing()
    except HostError as error:
        return str(error)
    if names:
        return f"as root, run: {install_line(names)}"
    return f"yet all Debian packages of `{COMMAND} doctor` are installed; is its directory in PATH?"
