"""The task that measures."""

from __future__ import annotations

import json as encoder
import time

from invoke.context import Context
from invoke.tasks import task

from commands.shell import complain, console, output_file, reported, tidy

# Each task imports what it needs, so that listing the tasks does not load every library.


@task(
    iterable=["name"],
    help={
        "name": "a measurement (`bench cells` will do; repeatable; default: all but the longest)",
        "json": "also write the figures to this file",
        "list": "list the measurements",
    },
)
@reported
def bench(_context: Context, name: list[str], json: str = "", list: bool = False) -> int:  # noqa: A002 (the flag is --list)
    """Measure what cells, runs and reports cost, beside the least that they could."""
    from bench.figure import as_json, chosen, measure, names
    from bench.guests import PROJECT
    from bench.table import bench_table
    from vms.errors import MatrixError
    from vms.files import write_whole

    if list:
        print("\n".join(names()))
        return 0
    target = output_file("--json", json) if json else None
    results, code = {}, 0
    for one in chosen(name):
        complain(f"measuring {one}")
        began = time.monotonic()
        try:
            results[one] = measure(one)
        except MatrixError as error:
            complain(f"{one}: {error}")
            code = error.exit_code
        else:
            complain(f"measured {one} in {time.monotonic() - began:.0f} s")
    if target:
        write_whole(target, encoder.dumps(as_json(results), indent=1).encode() + b"\n")
    tidy(PROJECT.config.cache.size)
    console().print(bench_table(results))
    return code
