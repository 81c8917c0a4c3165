"""nft's library, for questions of many small rule sets: each costs milliseconds, where a program to start costs a tenth of a second.

Source: libnftables(3).
"""

from __future__ import annotations

import ctypes
import functools


@functools.cache
def _library() -> ctypes.CDLL:
    library = ctypes.CDLL("libnftables.so.1")
    library.nft_ctx_new.restype = ctypes.c_void_p
    for name in ("nft_ctx_get_output_buffer", "nft_ctx_get_error_buffer"):
        getattr(library, name).restype = ctypes.c_char_p
    return library


def attempt(script: str) -> tuple[str, str]:
    """Runs a script in nft's language in the process's network namespace: what it printed, and its first error without where that is.

    Both may be empty. The caller judges: nothing is raised for a script that the kernel, or nft itself, refuses.
    """
    library = _library()
    context = ctypes.c_void_p(library.nft_ctx_new(ctypes.c_uint32(0)))
    try:
        library.nft_ctx_buffer_output(context)
        library.nft_ctx_buffer_error(context)
        failed = library.nft_run_cmd_from_buffer(context, script.encode())
        printed = (library.nft_ctx_get_output_buffer(context) or b"").decode(errors="replace")
        error = (library.nft_ctx_get_error_buffer(context) or b"").decode(errors="replace")
    finally:
        library.nft_ctx_free(context)
    words = error.splitlines()[0] if error else "failed without a word"
    return printed, words.rpartition("Error: ")[2] if failed else ""
