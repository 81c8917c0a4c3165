"""A question to a real kernel, asked as a program asks it."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from matrix.agents.jobs import Jobs
from matrix.agents.reading import Reader
from matrix.agents.tools import call, tools
from tests.support.project import ROOT

pytestmark = pytest.mark.guest

# As an installed program, which works in the directory that it is in.
WORKS_HERE = """
import pathlib, sys
from vms import program
program.WORK = pathlib.Path.cwd()
from commands.__main__ import main
main(sys.argv[1:])
"""


def test_a_program_asks_a_kernel_and_finds_the_answer_among_the_others(tmp_path: Path) -> None:
    jobs = Jobs([sys.executable, "-P", "-c", WORKS_HERE], {"PYTHONPATH": str(ROOT)}, tmp_path)
    known = tools(Reader(ROOT, tmp_path / "results"), jobs)
    try:
        begun = json.loads(call(known, "ask", {"kernel": "6.12", "experiment": "max-zero"}))
        jobs.find(begun["job"]).ended.wait(1200)
        told = json.loads(call(known, "job", {"job": begun["job"]}))
    finally:
        jobs.close()
    assert told["state"] == "done", told
    assert any("running" in message for message in told["messages"]), told
    (cell,) = told["cells"]["items"]
    assert cell["status"] == "pass"
    (kernel,) = json.loads(call(known, "kernels", {}))["items"]
    assert kernel["kernel"].startswith("6.12.")
    assert kernel["answers"] == 1
    explained = json.loads(call(known, "explain", {"experiment": "max-zero"}))
    assert explained["rows"]["items"][0]["facts"] == cell["facts"]
