"""The tools over the Model Context Protocol, on standard input and output."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from functools import partial
from typing import Any

import anyio
import mcp_types as protocol
from anyio import to_thread
from mcp.server import Server
from mcp.server.stdio import stdio_server

from matrix import VERSION
from matrix.agents.jobs import Jobs
from matrix.agents.reading import Reader
from matrix.agents.tools import Tool, call, tools
from vms.errors import MatrixError

_CALLS = 4  # that are answered at a time; `job` may wait
_INTERRUPTED = 130  # as a shell reports SIGINT
_INSTRUCTIONS = (
    "What Linux kernels do to connections (conntrack, NAT, firewall paths), measured with real kernels. Find"
    " a question with `experiments`, then `explain` tells what every kernel answered and which commit changed"
    " it. `ask` boots a kernel, and takes a minute or more. Answers come in pages: `next` is the offset of"
    " the following one."
)


def serve(reader: Reader, jobs: Jobs) -> None:
    """Answers until the client closes standard input, or a signal stops the process; then ends all
    jobs.
    """

    def stop(_number: int, _frame: object) -> None:
        jobs.close()
        os._exit(_INTERRUPTED)  # a thread of the package waits for standard input, and nothing wakes it

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)
    try:
        anyio.run(_serve, tools(reader, jobs))
    finally:
        jobs.close()


async def _serve(known: Mapping[str, Tool]) -> None:
    limiter = anyio.CapacityLimiter(_CALLS)

    async def listed(_context: Any, _request: Any) -> Any:
        return protocol.ListToolsResult(tools=[_described(name, tool) for name, tool in known.items()])

    async def called(_context: Any, request: Any) -> Any:
        body = partial(_result, known, request.name, request.arguments or {})
        return await to_thread.run_sync(body, limiter=limiter, abandon_on_cancel=True)

    server = Server(
        "conntrack-matrix",
        version=VERSION,
        instructions=_INSTRUCTIONS,
        on_list_tools=listed,
        on_call_tool=called,
    )
    async with stdio_server() as (read, write):
        await server.run(read, write, server.create_initialization_options())


def _described(name: str, tool: Tool) -> Any:
    about = protocol.ToolAnnotations(read_only_hint=tool.reads, destructive_hint=False, open_world_hint=False)
    return protocol.Tool(name=name, description=tool.description, input_schema=tool.schema, annotations=about)


def _result(known: Mapping[str, Tool], name: str, arguments: Mapping[str, Any]) -> Any:
    try:
        text, failed = call(known, name, arguments), False
    except MatrixError as error:
        text, failed = str(error), True
    return protocol.CallToolResult(content=[protocol.TextContent(type="text", text=text)], is_error=failed)
