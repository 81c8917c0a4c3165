"""`mcp` over standard input and output, asked by the package's own client."""

from __future__ import annotations

import signal
import subprocess
import sys

import anyio
import pytest
from invoke.context import Context

import tasks
from tests.support.agents import PATIENCE, answer, connected
from tests.support.project import ROOT

READING = {"kernels", "experiments", "explain", "compare", "upgrade", "history", "job"}


def test_a_program_finds_by_which_commit_a_kernel_changed() -> None:
    async def session() -> None:
        async with connected() as client:
            (line,) = (await answer(client, "experiments", search="reset inside"))["items"]
            found = await answer(client, "explain", experiment=line["name"], fact="lifetime")
            changes = found["rows"]["items"][0]["changes"]
            change = next(one for one in changes if (one["before"], one["after"]) == ("10 s", "300 s"))
            assert change["newer"].startswith("6.12.")
            assert [found["commits"][key]["title"] for key in change["commits"]] == [
                "netfilter: conntrack: tcp: use UNACK timeout for non-closing RST packets"
            ]

    anyio.run(session)


def test_every_tool_but_ask_only_reads_and_says_so() -> None:
    async def session() -> None:
        async with connected() as client:
            listed = {tool.name: tool for tool in (await client.list_tools()).tools}
            reading = {name for name, tool in listed.items() if tool.annotations.read_only_hint}
            assert (reading, listed.keys() - reading) == (READING, {"ask"})
            for tool in listed.values():
                assert tool.input_schema["additionalProperties"] is False
                assert tool.description

    anyio.run(session)


def test_a_refusal_is_a_message_to_the_program_and_the_server_goes_on() -> None:
    async def session() -> None:
        async with connected() as client:
            refused = await client.call_tool("explain", {"experiment": "inwindw-rst"})
            assert refused.is_error
            assert refused.content[0].text.startswith("there is no experiment 'inwindw-rst'; did you mean")
            assert (await answer(client, "kernels", limit=1))["total"] >= 8

    anyio.run(session)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_server_although_it_waits_for_input(number: signal.Signals) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "commands", "mcp"], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as server:
        assert server.stdin
        assert server.stdout
        server.stdin.write(b'{"jsonrpc": "2.0", "id": 1, "method": "ping"}\n')
        server.stdin.flush()
        assert server.stdout.readline()
        server.send_signal(number)
        assert server.wait(PATIENCE) == 130


def test_without_the_package_there_is_one_message_with_the_line_that_installs_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "mcp", None)
    with pytest.raises(SystemExit) as caught:
        tasks.mcp(Context())
    assert caught.value.code == 2
    said = capsys.readouterr().err
    assert said == f"error: the package mcp is not installed; run: {sys.executable} -m pip install mcp\n"
