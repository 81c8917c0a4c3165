from __future__ import annotations

import json
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from guest import agent, catalogue, cell
from guest.process import Asked


def ask(**request: Any) -> dict[str, Any]:
    answer = agent.answer(json.dumps({"id": "a1"} | request).encode(), cell.Cells({}, -1))
    assert answer is not None
    header, whole = answer
    assert json.loads(header)["id"] == "a1"
    assert json.loads(header)["bytes"] == len(whole)
    assert header.endswith(b"}\n")
    found: dict[str, Any] = json.loads(whole)
    return found


@pytest.mark.parametrize(
    "line", [b"", b"garbage", b"[]", b"{}", b'{"id": "x"}', b'{"do": "end"}', b"\xff\xfe", b'"id do"']
)
def test_a_line_that_is_no_request_has_no_answer(line: bytes) -> None:
    assert agent.answer(line, cell.Cells({}, -1)) is None


def test_ping_is_answered_with_the_kernels_release_and_taints(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tainted").write_text("512\n")
    monkeypatch.setattr(agent, "_TAINTED", tmp_path / "tainted")
    assert ask(do="ping") == {"ready": True, "release": os.uname().release, "tainted": 512}


def test_an_unknown_request_or_experiment_is_an_error() -> None:
    assert ask(do="dance")["outcome"] == "error"
    assert "nosuch" in ask(do="run", experiment="nosuch")["reason"]


def test_a_request_with_a_text_names_what_the_text_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Asked] = []

    def run(_cells: cell.Cells, one: Asked) -> cell.Answer:
        asked.append(one)
        return cell.Answer(b"{}")

    monkeypatch.setattr(cell.Cells, "run", run)
    text = {"module": "guest.experiments.mine", "file": "/mine.py", "text": "..."}
    ask(do="run", experiment="mine", variant={"a": "b"}, seconds=5, source=text, modules=["tun"])
    source = catalogue.Source("guest.experiments.mine", "/mine.py", "...")
    assert asked == [Asked("mine", {"a": "b"}, 5.0, ("tun",), source)]


def test_a_request_that_breaks_the_agent_is_answered_with_a_traceback() -> None:
    answer = ask(do="run")
    assert answer["outcome"] == "error"
    assert "KeyError" in answer["reason"]


def test_the_agent_sends_the_bytes_of_a_cell_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    made = cell.Answer(b"\n{not JSON", "printed", "logged\n", 1.5)
    monkeypatch.setattr(cell.Cells, "run", lambda *_: made)
    cells = cell.Cells({"e": catalogue.load()["baseline"]}, -1)
    answer = agent.answer(b'{"id": "a1", "do": "run", "experiment": "e"}', cells)
    assert answer is not None
    assert answer[1] == made.whole
    header = {"id": "a1", "bytes": 10, "printed": "printed", "dmesg": "logged\n", "seconds": 1.5}
    assert json.loads(answer[0]) == header


@pytest.fixture
def port(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[agent.Port, socket.socket]]:
    """The agent's port, and the host's end of it.

    A socket stands in for the virtio device: it too reads b'' when the other end is gone.
    """
    host, device = socket.socketpair()
    device.setblocking(False)
    real = os.open
    monkeypatch.setattr(
        os, "open", lambda path, *rest: os.dup(device.fileno()) if path == "port" else real(path, *rest)
    )
    made = agent.Port("port")
    device.close()
    yield made, host
    host.close()
    os.close(made._fd)


def test_a_line_that_arrives_in_pieces_is_joined(port: tuple[agent.Port, socket.socket]) -> None:
    made, host = port
    host.sendall(b'{"id"')
    threading.Timer(0.05, lambda: host.sendall(b": 1}\nnext\n")).start()
    assert made.line() == b'{"id": 1}'
    assert made.line() == b"next"


def test_an_endless_line_is_dropped(port: tuple[agent.Port, socket.socket]) -> None:
    made, host = port

    def flood() -> None:
        host.sendall(b"x" * (agent._MOST_REQUEST + agent._CHUNK))
        host.sendall(b"\nping\n")

    sender = threading.Thread(target=flood)
    sender.start()
    made.line()
    assert made.line() == b"ping"
    sender.join()


def test_a_long_answer_arrives_whole(port: tuple[agent.Port, socket.socket]) -> None:
    made, host = port
    sender = threading.Thread(target=made.send, args=(b"header\n", b"y" * 3_000_000))
    sender.start()
    heard = b""
    while len(heard) < 3_000_007:
        heard += host.recv(1 << 16)
    sender.join()
    assert heard == b"header\n" + b"y" * 3_000_000


def test_a_host_that_closed_its_end_does_not_block_the_agent(port: tuple[agent.Port, socket.socket]) -> None:
    made, host = port
    host.close()
    made.send(b"answer")
