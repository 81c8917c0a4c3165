"""Tasks for several machines."""

from __future__ import annotations

from invoke.context import Context
from invoke.tasks import task

from commands.shell import complain, count, reported

# Each task imports what it needs, so that listing the tasks does not load every library.


@task(
    help={
        "host": "the address to listen on",
        "port": "the port to listen on",
        "without_authentication": "no TLS: any program that reaches the address can run programs as you",
    }
)
@reported
def scheduler(
    _context: Context, host: str = "127.0.0.1", port: str = "8786", without_authentication: bool = False
) -> None:
    """Distribute the cells of matrix runs to workers on several machines, until interrupted."""
    from matrix.dask.serve import serve_scheduler

    number = count("--port", port, "the port to listen on", most=65_535)
    serve_scheduler(host, number, complain, authenticated=not without_authentication)


@task(
    positional=["scheduler"],
    help={
        "scheduler": "the scheduler's address, tls://host:8786",
        "slots": "guests at a time (default: one per processor, fewer while memory is short)",
        "without_authentication": "for a scheduler at tcp://: whoever reaches it can run programs as you",
    },
)
@reported
def worker(
    _context: Context, scheduler: str, slots: str | None = None, without_authentication: bool = False
) -> None:
    """Run guests for a scheduler, until interrupted or until the scheduler goes away."""
    from matrix.dask.serve import serve_worker
    from vms.capacity import guests

    at_a_time = count("--slots", slots, "guests to run at a time") or guests()
    serve_worker(scheduler, at_a_time, complain, authenticated=not without_authentication)
