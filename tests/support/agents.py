"""A program that speaks the Model Context Protocol with `mcp`, by the package's own client."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from mcp import Client, StdioServerParameters

from tests.support.project import ROOT

PATIENCE = 300
"""Seconds for each answer, however busy the machine is."""


@asynccontextmanager
async def connected() -> AsyncIterator[Client]:
    """A client of a server that the client starts, and that ends with it."""
    server = StdioServerParameters(
        command=sys.executable, args=["-m", "commands", "mcp"], cwd=ROOT, env=dict(os.environ)
    )
    async with Client(server, read_timeout_seconds=PATIENCE) as client:
        yield client


async def answer(client: Client, tool: str, **arguments: Any) -> Any:
    """What a tool answers; fails if it refuses."""
    result = await client.call_tool(tool, arguments)
    (content,) = result.content
    assert not result.is_error, content.text
    return json.loads(content.text)
