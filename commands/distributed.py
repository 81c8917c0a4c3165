"""Tasks for several machines."""

from __future__ import annotations

from invoke.context import Context
from invoke.tasks import task

from commands.shell import complain, reported

# Each task imports what it needs, so that listing the tasks does not load every library.


@task(
    help={
        "host": "the address to listen on; any program that can reach it can run programs as you",
        "port": "the port to listen on",
    }
)
@reported
def scheduler(_context: Context, host: str = "127.0.0.1", port: int = 8786) -> None:
    """Distribute the cells of matrix runs to workers on several machines, until interrupted."""
    from matrix.dask.serve import serve_scheduler

    serve_scheduler(host, port, complain)


@task(
    positional=["scheduler"],
    help={
        "scheduler": "the scheduler's address, tcp://host:8786",
        "slots": "guests at a time (default: one per processor, fewer while memory is short)",
    },
)
@reported
def worker(_context: Context, scheduler: str, slots: int = 0) -> None:
    """Run guests for a scheduler, until interrupted or until the scheduler goes away."""
    from matrix.dask.serve import serve_worker
    from vms.capacity import guests
    from vms.errors import UsageError

    if slots < 0:
        raise UsageError(f"--slots {slots}: give the number of guests to run at a time, at least 1")
    serve_worker(scheduler, slots or guests(), complain)
