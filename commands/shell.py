"""Output helpers shared by the tasks: errors as one message, tables for people, JSON for
machines.
"""

from __future__ import annotations

import errno
import functools
import os
import re
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from vms.errors import MatrixError, UsageError, plain_error
from vms.files import write_whole
from vms.program import WORK
from vms.text import shown

if TYPE_CHECKING:
    from matrix.invocation import Result, RunRequest
    from matrix.plan.plan import Plan
    from matrix.plan.project import Project
    from matrix.run.guests import Guests
    from matrix.run.progress import Display
    from vms.kernels.kernel import Kernel
    from vms.kernels.lock import Lock
    from vms.kernels.select import Selection
    from vms.kernels.spec import Spec

ROOT = WORK
RESULTS = ROOT / "results"
LOCK = ROOT / "matrix.lock"
BASELINE = ROOT / "matrix.baseline.json"
TRACEBACK = RESULTS / "traceback.txt"
"""Where the last error that nobody foresaw came from."""
JOBS = "guests that compute at a time"
"""What --jobs counts."""
INTERRUPTED = 130  # as a shell reports SIGINT
_END_SECONDS = 1.0  # in which an interrupted process cleans up
_SILENT = 3.0  # seconds, before the user learns what is waited for
_MESSAGE_CHARACTERS = 10_000
_TRACEBACK_CHARACTERS = 1 << 20
_LEAST_MEMORY = 256  # MiB; with less a kernel does not unpack its initramfs


def reported(body: Callable[..., int | None]) -> Callable[..., None]:
    """Wraps a task: errors become one message and an exit code, and signals that stop the process
    end it as Ctrl-C does. The traceback of an error that nobody foresaw is written to TRACEBACK.
    """

    @functools.wraps(body)
    def run(*arguments: Any, **flags: Any) -> None:
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.default_int_handler)
        try:
            code = body(*arguments, **flags) or 0
            sys.stdout.flush()
        except MatrixError as error:
            complain(f"error: {error}")
            code = error.exit_code
        except KeyboardInterrupt:
            complain("interrupted; what was finished is kept, and the same command does the rest")
            code = INTERRUPTED
        except BrokenPipeError:
            discard(sys.stdout)
            code = 0
        except Exception as error:  # Python's own exit code would be 1, which a kernel has to answer for
            complain(f"error: {_unforeseen(error)}")
            code = MatrixError.exit_code
        if code == INTERRUPTED:
            end_soon()
        try:
            sys.stdout.flush()
        except OSError:
            discard(sys.stdout)
        sys.exit(code)

    return run


def discard(stream: TextIO) -> None:
    """Lets standard output or error go nowhere, once its reader closed the pipe as `./invoke
    kernels | head` does, or its terminal hung up: what is still to be printed has nobody who would
    read it, and Python ends with an exit code of its own if it cannot be written.
    """
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _unforeseen(error: Exception) -> str:
    """One message about an error that nobody foresaw, after writing its traceback."""
    lines = traceback.format_exception(error)
    traceback.clear_frames(error.__traceback__)  # closes the files that they hold: there may be too many
    named = isinstance(error, OSError) and error.strerror
    what = plain_error(error) if named else f"{type(error).__name__}: {error}; this is a bug"
    try:
        write_whole(TRACEBACK, shown("".join(lines), _TRACEBACK_CHARACTERS).encode())
    except (MatrixError, OSError) as second:
        return f"{what}; its traceback cannot be written: {plain_error(second)}"
    return f"{what}; its traceback is in {TRACEBACK}"


def end_soon() -> None:
    """Ends this process after one second, even if a thread still runs then."""
    watchdog = threading.Timer(_END_SECONDS, os._exit, [INTERRUPTED])
    watchdog.daemon = True
    watchdog.start()


def console(*, errors: bool = False) -> Any:
    """A console as wide as the terminal; in a pipe no line is cut. `errors` selects
    standard error.
    """
    from rich.console import Console

    class Terminal(Console):
        def on_broken_pipe(self) -> None:  # rich itself would exit with 1
            raise BrokenPipeError

    terminal = Terminal(highlight=False, stderr=errors)
    return terminal if terminal.is_terminal else Terminal(highlight=False, stderr=errors, width=10_000)


def print_table(columns: list[str], rows: list[list[str]], right: tuple[str, ...] = ()) -> None:
    """Prints a table for people; `right` names the columns that are aligned to the right."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for column in columns:
        table.add_column(column, justify="right" if column in right else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(word) for word in row))
    console().print(table)


def print_json(value: object) -> None:
    """Prints a value as JSON."""
    import msgspec

    print(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())


def keep(setting: str, run: Path) -> None:
    """Records the run in the history. A failure is reported and changes nothing else."""
    from matrix.history.keep import keep

    if complaint := keep(setting, RESULTS, run):
        complain(complaint)


def tidy(keep: int) -> None:
    """Removes damaged entries from the cache, and if it holds more than `keep` bytes the least
    recently used templates, and reports what it removed.
    """
    from vms.cache import Cache
    from vms.prune import DAMAGED, LEFT_OVER, MADE_HERE, prune

    cache = Cache.default()
    try:
        done = prune(cache, keep, MADE_HERE)
    except OSError as error:
        complain(f"could not prune the cache {cache.root}: {error}")
        return
    for failure in done.failed:
        complain(f"cache: {failure}")
    for entry in done.removed:
        if entry.what == DAMAGED:
            complain(f"cache: removed the damaged {cache.path(entry.kind, entry.key)}")
    if removed := [entry for entry in done.removed if entry.what not in (DAMAGED, LEFT_OVER)]:
        complain(
            f"cache exceeded {keep / 1e9:g} GB: removed {sum(e.size for e in removed) / 1e9:.1f} GB of"
            " least recently used entries"
        )


def selected(project: Project, specs: Sequence[Spec], lock: Lock | None = None) -> Selection:
    """The kernels to be asked: those of a lock file, else what can be had now."""
    selection = project.select_locked(lock, specs) if lock else project.select(specs)
    if selection.warning:
        complain(selection.warning)
    return selection


def one_kernel(project: Project, text: str) -> tuple[Kernel, Selection]:
    """The one kernel that the text names, and where it was found. Raises UsageError if it means
    several.
    """
    selection = project.select(project.specs([text]))
    if len(selection.kernels) != 1:
        names = ", ".join(one.name for one in selection.kernels)
        raise UsageError(f"{text!r} means {len(selection.kernels)} kernels ({names}); name one")
    return selection.kernels[0], selection


def run_request(
    project: Project,
    plan: Plan,
    selection: Selection,
    guests: Guests,
    slots: int,
    shown: Display,
    *,
    again: bool = False,
    pristine: bool = False,
) -> RunRequest:
    """A run of the plan, with its results beside those of other runs. It uses what those have
    answered unless `again`, and asks each cell in a guest of its own if `pristine`.
    """
    from matrix.analysis.ledger.read import read_ledger
    from matrix.invocation import RunRequest

    return RunRequest(
        plan,
        project.experiments,
        read_ledger(),
        guests,
        RESULTS,
        slots,
        tuple(sys.argv[1:]),
        shown,
        selection.gone_versions,
        code=project.code,
        again={cell.key for cell in plan.cells} if again else (),
        pristine=frozenset(kernel.name for kernel in plan.kernels if pristine),
    )


def run_programs(plan: Plan, selection: Selection, guests: Guests, slots: int, shown: Display) -> Result:
    """Runs a plan whose experiments are programs of the user's, of which no ledger knows."""
    from matrix.analysis.ledger.model import Ledger
    from matrix.invocation import RunRequest, run_matrix

    request = RunRequest(
        plan,
        {experiment.name: experiment for experiment in plan.experiments},
        Ledger({}, (), {}),
        guests,
        RESULTS,
        slots,
        tuple(sys.argv[1:]),
        shown,
        selection.gone_versions,
    )
    return run_matrix(request)


def data_home() -> Path:
    """Where programs look for files that belong to the user, as the XDG Base Directory
    Specification says.
    """
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")


def output_file(flag: str, text: str) -> Path:
    """The file that the user gave after a flag. Raises UsageError if a directory is there."""
    path = Path(text).resolve()
    if path.is_dir():
        raise UsageError(f"{flag} {text!r}: this is a directory; give the name of a file")
    return path


def input_file(flag: str, text: str) -> Path:
    """The file that the user gave after a flag. Raises UsageError if there is none."""
    if not text.strip() or not Path(text).is_file():
        raise UsageError(f"{flag} {text!r}: there is no such file")
    return Path(text)


def count(flag: str, text: str | None, what: str, most: int = 999_999) -> int:
    """The number that the user gave after a flag, 0 without the flag. `what` says what it counts.

    Raises UsageError that names the flag unless it is a number from 1 to `most`.
    """
    if text is None:
        return 0
    if not re.fullmatch("[0-9]{1,6}", text) or not 1 <= int(text) <= most:
        raise UsageError(f"{flag} {text!r}: give the number of {what}, at least 1 and at most {most:,}")
    return int(text)


def least_memory(text: str | None) -> int:
    """The MiB of `--memory`, 0 without it. Raises UsageError if no kernel would boot with them."""
    mebibytes = count("--memory", text, "MiB")
    if 0 < mebibytes < _LEAST_MEMORY:
        raise UsageError(f"--memory {text}: a guest needs at least {_LEAST_MEMORY} MiB")
    return mebibytes


@contextmanager
def soon_told(text: str) -> Iterator[None]:
    """Complains with the text if what is done in the context takes a while."""
    notice = threading.Timer(_SILENT, complain, [text])
    notice.daemon = True
    notice.start()
    try:
        yield
    finally:
        notice.cancel()


def complain(text: str) -> None:
    """Prints a message to standard error without ending the task. A terminal that hung up has
    nobody who would read it.
    """
    try:
        print(shown(text, _MESSAGE_CHARACTERS), file=sys.stderr)
    except OSError as error:
        if error.errno != errno.EIO:
            raise
        discard(sys.stderr)
