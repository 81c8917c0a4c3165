"""Runs a Dask scheduler, or a worker that runs guests. See docs/distributed.md.

Neither starts Dask's HTTP server, and each listens on one address only.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from distributed import Scheduler, Worker
from distributed.comm import get_address_host
from distributed.utils import get_ip

from matrix.dask.executor import SLOTS
from matrix.dask.identity import check_address, identity_path, security
from vms.errors import HostError
from vms.interrupt import interrupt
from vms.program import COMMAND
from vms.runtime import private_directory

LOOPBACK = "127.0.0.1"
_CONNECT_SECONDS = 20
_CLOSE_SECONDS = 2.0

Say = Callable[[str], None]


class _Scheduler(Scheduler):  # type: ignore[misc]
    def start_http_server(self, *_arguments: Any, **_named: Any) -> None:
        """Does not start Dask's HTTP dashboard."""


class _Worker(Worker):  # type: ignore[misc]
    def start_http_server(self, *_arguments: Any, **_named: Any) -> None:
        """Does not start Dask's HTTP dashboard."""


def serve_scheduler(host: str, port: int, say: Say, *, authenticated: bool = True) -> None:
    """Runs a scheduler on this address until it is interrupted.

    Unless `authenticated`, anybody who reaches the address can run programs as this user. Raises
    HostError if it cannot listen there.
    """
    who = security(authenticated=authenticated)

    async def serve() -> None:
        try:
            protocol = "tls" if authenticated else "tcp"
            scheduler = await _Scheduler(
                host=host, port=port, protocol=protocol, security=who, dashboard=False
            )
        except (OSError, ValueError, RuntimeError) as error:
            # Dask raises a RuntimeError from an address that has no such host.
            raise HostError(f"cannot listen on {host}, port {port}: {error.__cause__ or error}") from error
        say(f"scheduler: {scheduler.address}")
        if authenticated and host != LOOPBACK:
            say(f"scheduler: every other machine needs a copy of {who.tls_ca_file}")
        try:
            await scheduler.finished()
        finally:
            await scheduler.close()

    _run(serve())


def serve_worker(address: str, slots: int, say: Say, *, authenticated: bool = True) -> None:
    """Runs guests for the scheduler at `address`, `slots` at a time, until interrupted or until the
    scheduler goes away.

    Raises UsageError if the address is malformed, HostError if no scheduler answers there.
    """
    check_address(address, authenticated=authenticated)
    try:
        # The interface that reaches the scheduler; by default Dask listens on all interfaces.
        host = get_ip(get_address_host(address))
    except OSError as error:
        raise HostError(f"{address}: the scheduler's machine cannot be found: {error}") from error
    who = security(authenticated=authenticated)

    async def serve(scratch: Path) -> None:
        worker = _Worker(
            address,
            host=host,
            security=who,
            local_directory=str(scratch),
            nthreads=slots,
            resources={SLOTS: slots},
            death_timeout=_CONNECT_SECONDS,
            memory_limit=0,
        )
        try:
            await worker
        except (OSError, ValueError) as error:
            raise HostError(
                f"no Dask scheduler answered at {address} within {_CONNECT_SECONDS} s; start one with"
                f" `{COMMAND} scheduler`, or, if one runs on another machine, copy its"
                f" {identity_path()} to this one"
            ) from error
        say(
            f"worker: {slots} guest{'s' if slots > 1 else ''} at a time for {address}, listening on"
            f" {worker.address}"
        )
        try:
            await worker.finished()
            say("worker: the scheduler went away; ending")
        finally:
            # Threads cannot be stopped, but what they wait for can.
            interrupt()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(
                    worker.close(timeout=_CLOSE_SECONDS, executor_wait=False), _CLOSE_SECONDS + 1
                )

    with private_directory("dask-") as scratch:  # Dask's own choice could belong to another user
        _run(serve(scratch))


def _run(serving: Coroutine[None, None, None]) -> None:
    """Runs until `serving` returns or the user interrupts it, which is the usual end."""
    logging.getLogger("distributed").setLevel(logging.CRITICAL)  # failures are raised as exceptions
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serving)
