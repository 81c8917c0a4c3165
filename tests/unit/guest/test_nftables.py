"""nft's library: what comes of a script, in a few words."""

from __future__ import annotations

import ctypes
from pathlib import Path

import pytest

from guest.errors import ToolFailed, Unsupported
from guest.lab import nftables

_ERROR = (
    b"/dev/stdin:1:63-69: Error: Could not process rule: Operation not permitted\nadd rule ip t c ip dscp set"
    b" 2\n    ^^^\n"
)


class FakeLibrary:
    """Answers as libnftables does: with a status and two buffers."""

    def __init__(self, status: int, printed: bytes, error: bytes) -> None:
        self.status, self.printed, self.error = status, printed, error
        self.scripts: list[bytes] = []
        self.freed = 0
        self.output = 0

    def nft_ctx_output_set_flags(self, _context: object, flags: ctypes.c_uint) -> None:
        self.output = flags.value

    def nft_ctx_new(self, _flags: ctypes.c_uint32) -> int:
        return 1

    def nft_ctx_buffer_output(self, _context: object) -> int:
        return 0

    nft_ctx_buffer_error = nft_ctx_buffer_output

    def nft_run_cmd_from_buffer(self, _context: object, script: bytes) -> int:
        self.scripts.append(script)
        return self.status

    def nft_run_cmd_from_filename(self, _context: object, name: bytes) -> int:
        self.scripts.append(Path(name.decode()).read_bytes())
        return self.status

    def nft_ctx_get_output_buffer(self, _context: object) -> bytes:
        return self.printed

    def nft_ctx_get_error_buffer(self, _context: object) -> bytes:
        return self.error

    def nft_ctx_free(self, _context: object) -> None:
        self.freed += 1


def _with(monkeypatch: pytest.MonkeyPatch, library: FakeLibrary) -> FakeLibrary:
    monkeypatch.setattr(nftables, "load", lambda: library)
    return library


def test_the_output_of_an_nft_script_is_returned(monkeypatch: pytest.MonkeyPatch) -> None:
    library = _with(monkeypatch, FakeLibrary(0, b"table ip t {\n}\n", b""))
    assert nftables.attempt("list ruleset") == ("table ip t {\n}\n", "")
    assert library.scripts == [b"list ruleset"]
    assert library.freed == 1


def test_the_error_of_an_nft_script_has_no_position(monkeypatch: pytest.MonkeyPatch) -> None:
    library = _with(monkeypatch, FakeLibrary(-1, b"", _ERROR))
    assert nftables.attempt("add rule") == ("", "Could not process rule: Operation not permitted")
    assert library.freed == 1


def test_a_warning_of_an_nft_script_that_worked_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    _with(monkeypatch, FakeLibrary(0, b"", b"Warning: deprecated\n"))
    assert nftables.attempt("add rule") == ("", "")


def test_an_nft_script_that_fails_without_a_message_has_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    _with(monkeypatch, FakeLibrary(-1, b"", b""))
    assert nftables.attempt("add rule") == ("", "failed without a word")


def test_an_nft_listing_can_be_JSON(monkeypatch: pytest.MonkeyPatch) -> None:
    library = _with(monkeypatch, FakeLibrary(0, b'{"nftables": []}', b""))
    assert nftables.run("list ruleset", json=True) == '{"nftables": []}'
    assert library.output == 16


def test_a_mistake_in_an_nft_script_raises_ToolFailed_with_the_script(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _with(monkeypatch, FakeLibrary(-1, b"", b"/dev/stdin:1:1-3: Error: syntax error, unexpected string"))
    with pytest.raises(ToolFailed, match=r"syntax error(.|\n)*tabel"):
        nftables.run("tabel ip t")


def test_an_nft_expression_that_the_kernel_lacks_is_unsupported(monkeypatch: pytest.MonkeyPatch) -> None:
    _with(monkeypatch, FakeLibrary(-1, b"", b"Error: Could not process rule: No such file or directory"))
    with pytest.raises(Unsupported, match="No such file"):
        nftables.run("add rule")


def test_each_line_that_the_kernel_refuses_has_its_error(monkeypatch: pytest.MonkeyPatch) -> None:
    words = (
        b"x.nft:2:1-30: Error: Could not process rule: Operation not supported\nadd rule ip t c notrack\n"
        b"^^^\nx.nft:14:1-30: Error: Could not process rule: No such file or directory\n"
    )
    library = _with(monkeypatch, FakeLibrary(1, b"", words))
    assert nftables.refusals("one\ntwo\n") == {2: "Operation not supported", 14: "No such file or directory"}
    assert library.scripts == [b"one\ntwo\n"]


def test_a_script_that_is_taken_has_no_refused_line(monkeypatch: pytest.MonkeyPatch) -> None:
    _with(monkeypatch, FakeLibrary(0, b"", b""))
    assert nftables.refusals("one\n") == {}


def test_a_script_that_nft_itself_refuses_is_a_mistake(monkeypatch: pytest.MonkeyPatch) -> None:
    _with(monkeypatch, FakeLibrary(1, b"", b"x.nft:1:1-3: Error: syntax error, unexpected string\n"))
    with pytest.raises(ToolFailed, match="syntax error"):
        nftables.refusals("one\n")
