"""The processes of several machines: a Dask scheduler, and workers that run guests. See
docs/distributed.md.

Neither opens the HTTP server that Dask would, and each listens on one address only.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Coroutine
from typing import Any

import dask
from distributed import Scheduler, Worker
from distributed.comm import get_address_host, parse_address
from distributed.utils import get_ip

from matrix.dask.executor import SLOTS
from vms.errors import HostError, UsageError
from vms.interrupt import interrupt

PORT = 8786  # Dask's own
_CONNECT_SECONDS = 20
_CLOSE_SECONDS = 2.0

Say = Callable[[str], None]


class _Scheduler(Scheduler):  # type: ignore[misc]
    def start_http_server(self, *_arguments: Any, **_named: Any) -> None:
        """Nobody asked for one."""


class _Worker(Worker):  # type: ignore[misc]
    def start_http_server(self, *_arguments: Any, **_named: Any) -> None:
        """Nobody asked for one."""


def serve_scheduler(host: str, port: int, say: Say) -> None:
    """Runs a scheduler on this address until it is interrupted.

    Raises HostError if the address cannot be had.
    """

    async def serve() -> None:
        try:
            scheduler = await _Scheduler(host=host, port=port, protocol=_protocol(), dashboard=False)
        except (OSError, ValueError) as error:
            raise HostError(f"cannot listen on {host}, port {port}: {error}") from error
        say(f"scheduler: {scheduler.address}")
        try:
            await scheduler.finished()
        finally:
            await scheduler.close()

    _run(serve())


def serve_worker(address: str, slots: int, say: Say) -> None:
    """Runs guests for the scheduler at `address`, `slots` at a time, until interrupted or until the
    scheduler goes away.

    Raises UsageError for an address that is none, HostError if no scheduler answers there.
    """
    try:
        parse_address(address, strict=True)
        # Of the interface by which it reaches the scheduler; by itself it would listen on all.
        host = get_ip(get_address_host(address))
    except ValueError as error:
        raise UsageError(
            f"{address} is no address of a scheduler; it looks like tcp://host:{PORT}"
        ) from error

    async def serve() -> None:
        worker = _Worker(
            address,
            host=host,
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
                " `./invoke scheduler`"
            ) from error
        say(
            f"worker: {slots} guest{'s' if slots > 1 else ''} at a time for {address}, listening on"
            f" {worker.address}"
        )
        try:
            await worker.finished()
            say("worker: the scheduler went away")
        finally:
            # Threads cannot be stopped, but all they wait for can.
            interrupt()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(
                    worker.close(timeout=_CLOSE_SECONDS, executor_wait=False), _CLOSE_SECONDS + 1
                )

    _run(serve())


def _protocol() -> str:
    """TLS if Dask is configured for it."""
    return (
        "tls"
        if dask.config.get("distributed.comm.require-encryption")
        or dask.config.get("distributed.comm.tls.ca-file")
        else "tcp"
    )


def _run(serving: Coroutine[None, None, None]) -> None:
    """Until it is over or somebody ends it, which is the usual way."""
    logging.getLogger("distributed").setLevel(logging.CRITICAL)  # what goes wrong is raised
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serving)
