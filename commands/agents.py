"""The task for programs that speak the Model Context Protocol."""

from __future__ import annotations

import sys

from invoke.context import Context
from invoke.tasks import task

from commands.shell import RESULTS, ROOT, reported
from vms.program import CODE

# Each task imports what it needs, so that listing the tasks does not load every library.


@task
@reported
def mcp(_context: Context) -> None:
    """Answer a program over the Model Context Protocol.

    On standard input and output: what runs found, and a question to a kernel as a job.
    """
    from importlib.util import find_spec

    from vms.errors import UsageError

    if find_spec("mcp") is None:
        raise UsageError(f"the package mcp is not installed; run: {sys.executable} -m pip install mcp")
    from matrix.agents.jobs import Jobs
    from matrix.agents.reading import Reader
    from matrix.agents.server import serve

    # -P: no module of the directory in which it runs is taken for ours.
    program = [sys.executable, "-P", "-m", "commands"]
    serve(Reader(ROOT, RESULTS), Jobs(program, {"PYTHONPATH": str(CODE)}, ROOT))
