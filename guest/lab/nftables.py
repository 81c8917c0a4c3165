"""Runs nft's library: a rule set costs milliseconds, while starting the program costs a tenth of a
second in an emulated guest.

Source: libnftables(3).
"""

from __future__ import annotations

import ctypes
import functools
import re
import tempfile

from guest.lab.rules import failure

_REFUSAL = re.compile(r":(\d+):\d+-\d+: Error: Could not process rule: (.+)")
_JSON = 1 << 4  # NFT_CTX_OUTPUT_JSON


@functools.cache
def load() -> ctypes.CDLL:
    """Loads the library; the agent does so once, before cells are forked from it."""
    library = ctypes.CDLL("libnftables.so.1")
    library.nft_ctx_new.restype = ctypes.c_void_p
    for name in ("nft_ctx_get_output_buffer", "nft_ctx_get_error_buffer"):
        getattr(library, name).restype = ctypes.c_char_p
    return library


def attempt(script: str) -> tuple[str, str]:
    """Runs a script in nft's language in the process's network namespace; returns the output and
    the first error, without its position.

    Both may be empty. Nothing is raised for a script that the kernel, or nft itself, refuses.
    """
    printed, error = _run(script)
    return printed, error.splitlines()[0].rpartition("Error: ")[2] if error else ""


def refusals(script: str) -> dict[int, str]:
    """Runs a script like `attempt`; returns the kernel's error by the number of the line that it
    refuses. If there is one, nothing of the script is loaded.

    Raises ToolFailed for a script that nft itself refuses.
    """
    # Of a script in memory nft does not tell lines.
    with tempfile.NamedTemporaryFile("w", suffix=".nft") as file:
        file.write(script)
        file.flush()
        _, error = _run(file.name, file=True)
    found = {int(line): words for line, words in _REFUSAL.findall(error)}
    if error and not found:
        raise failure("nft", error, script)
    return found


def run(script: str, *, json: bool = False) -> str:
    """Runs a script in nft's language in the process's network namespace; returns its output, with
    `json` as JSON.

    Raises Unsupported with nft's message if that blames the kernel, else ToolFailed.
    """
    printed, error = _run(script, _JSON if json else 0)
    if error:
        raise failure("nft", error, script)
    return printed


def _run(script: str, output: int = 0, *, file: bool = False) -> tuple[str, str]:
    library = load()
    command = library.nft_run_cmd_from_filename if file else library.nft_run_cmd_from_buffer
    context = ctypes.c_void_p(library.nft_ctx_new(ctypes.c_uint32(0)))
    try:
        library.nft_ctx_buffer_output(context)
        library.nft_ctx_buffer_error(context)
        library.nft_ctx_output_set_flags(context, ctypes.c_uint(output))
        failed = command(context, script.encode())
        printed = (library.nft_ctx_get_output_buffer(context) or b"").decode(errors="replace")
        error = (library.nft_ctx_get_error_buffer(context) or b"").decode(errors="replace").strip()
    finally:
        library.nft_ctx_free(context)
    return printed, (error or "failed without a word") if failed else ""
