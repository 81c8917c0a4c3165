"""The task that does in an empty Debian what the README says."""

from __future__ import annotations

import signal
import sys
from typing import TYPE_CHECKING

from invoke.context import Context
from invoke.tasks import task

from commands.scripts import arguments
from commands.shell import INTERRUPTED, ROOT, complain, reported
from vms.text import shown

if TYPE_CHECKING:
    from matrix.fresh import Fresh

# The task imports what it needs, so that listing the tasks does not load every library.
_LINE_CHARACTERS = 10_000
_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@task(
    help={
        "suite": "the Debian to make: bookworm, trixie or sid (default: trixie)",
        "only": "run only the README's command of this task, with the words after `--`",
    },
)
@reported
def fresh(_context: Context, suite: str = "trixie", only: str = "") -> int:
    """Do in an empty Debian what the README says: its two commands, in a clone of HEAD."""
    from matrix.fresh import check_suite, chosen_commands, readme_commands, run_fresh
    from matrix.plan.config import config_of, read_config

    check_suite(suite)
    commands = readme_commands((ROOT / "README.md").read_text())
    chosen = chosen_commands(commands, only, arguments(sys.argv))
    debian = read_config(config_of(ROOT)).debian
    for number in _ENDING:
        if signal.getsignal(number) is signal.default_int_handler:  # else it is to be ignored
            signal.signal(number, _interrupt)
    try:
        done = run_fresh(ROOT, suite, chosen, debian, say)
    except KeyboardInterrupt:
        complain("the Debian is removed")
        return INTERRUPTED
    _print(done)
    return done.exit_code


def _interrupt(*_: object) -> None:
    """Raises KeyboardInterrupt at the first signal that ends us; further ones would only interrupt
    the removal.
    """
    for number in _ENDING:
        signal.signal(number, signal.SIG_IGN)
    complain("interrupted; removing the Debian")
    raise KeyboardInterrupt


def say(line: str) -> None:
    """Prints a line from the Debian."""
    print(shown(line, _LINE_CHARACTERS), flush=True)


def _print(done: Fresh) -> None:
    say(f"Debian {done.suite}, {', '.join(done.versions)}")
    for one in done.done:
        say(f"{one.command}: exit code {one.code} after {one.seconds / 60:.1f} minutes")
