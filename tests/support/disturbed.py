"""A run of a small plan, with guests that are no machines, which waits in a phase to be disturbed.

argv: the results directory, and where to wait; without it the run ends by itself. Prints `there`
when it waits. A run that ends prints as its last line, in JSON, which cells it asked, and the facts
of all its cells.

Give it a PYTHONHASHSEED: the digests of the kernels' packages are made with it, and the plan's
digest of these.
"""

from __future__ import annotations

import json
import pkgutil
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from unittest import mock

from commands.shell import reported
from matrix.analysis.ledger.model import Ledger
from matrix.history.keep import keep
from matrix.invocation import RunRequest, run_matrix
from matrix.plan.plan import make_plan
from tests.support.fakes import FakeGuests, Seen, answer, make_experiment, make_kernel
from vms.answer import Answer
from vms.errors import HostError, LostGuest
from vms.interrupt import interrupted

IN_MAIN_THREAD = {
    "cell's files": ("matrix.results.directory.json_bytes", 8),
    "manifest": ("vms.files.os.fsync", 5),
    "report": ("matrix.report.write.junit", 1),
    "history": ("matrix.history.record._insert_new", 3),
}
"""Where the thread that decides waits: in which call of which function."""

PLAN = make_plan(
    [make_kernel("5.10.1"), make_kernel("6.1.2")], [make_experiment(name) for name in ("one", "two", "three")]
)


def waiting(target: str, number: int) -> Callable[..., Any]:
    """The function of this name, which waits in its call of this number."""
    module, _, name = target.rpartition(".")
    then = getattr(pkgutil.resolve_name(module), name)
    calls: list[None] = []

    def called(*arguments: Any, **named: Any) -> Any:
        calls.append(None)
        if len(calls) == number:
            print("there", flush=True)
            time.sleep(60)
        return then(*arguments, **named)

    return called


def waiter(where: str) -> Callable[[str], None]:
    """A function for jobs to call with the phase they are in: it waits if that is `where`."""
    silent = threading.Lock()

    def wait(here: str) -> None:
        if here != where:
            return
        if silent.acquire(blocking=False):  # two kernels may be fetched at once
            print("there", flush=True)
        while not interrupted():  # as a job does, whose deadlines expire then
            time.sleep(0.01)
        raise LostGuest("interrupted")

    return wait


def main(results: Path, where: str) -> int:
    asked: list[list[str]] = []
    wait = waiter(where)

    def behave(kernel: str, request: dict[str, Any]) -> Answer:
        cell = [kernel, request["experiment"]]
        if cell not in asked and len({tuple(one) for one in asked}) == 2:
            wait("cell")
        asked.append(cell)
        return answer(request, facts={"flows": len(kernel) + len(request["experiment"])})

    def fetching(_kernel: str) -> HostError | None:
        wait("download")
        return None

    def booting(_kernel: str) -> HostError | None:
        wait("boot")
        return None

    guests = FakeGuests(behave, fetching, booting)
    catalogue = {experiment.name: experiment for experiment in PLAN.experiments}
    request = RunRequest(PLAN, catalogue, Ledger({}, (), {}), guests, results, 1, ("matrix",), Seen())
    with ExitStack() as patches:
        if where in IN_MAIN_THREAD:
            target, number = IN_MAIN_THREAD[where]
            patches.enter_context(mock.patch(target, waiting(target, number)))
        result = run_matrix(request)
        complaint = keep("", results, result.run)
    if complaint:
        raise HostError(complaint)
    facts = {f"{r.kernel} {r.experiment}": r.facts for r in result.analysis.records}
    print(json.dumps({"asked": asked, "facts": facts, "run": result.run.name}))
    return 0


if __name__ == "__main__":
    reported(main)(Path(sys.argv[1]), *sys.argv[2:] or [""])
