"""Reads the kernel's log from a moment on, from /dev/kmsg; only root of the initial user namespace
may.
"""

from __future__ import annotations

import os


class Log:
    """The kernel's log from the moment on at which this is made."""

    def __init__(self, path: str = "/dev/kmsg") -> None:
        self._fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        os.lseek(self._fd, 0, os.SEEK_END)
        self._lines: list[str] = []

    def lines(self) -> list[str]:
        """Every line logged since this was made, oldest first, without timestamps; lines that the
        ring buffer has overwritten are missing.
        """
        while True:
            try:
                record = os.read(self._fd, 8192)
            except BlockingIOError:
                return list(self._lines)
            except BrokenPipeError:  # lines were overwritten unread; the next read is after the gap
                continue
            if not record:
                return list(self._lines)
            self._lines.append(message(record.decode(errors="replace")))

    def close(self) -> None:
        """Closes the log."""
        os.close(self._fd)


def message(record: str) -> str:
    """The text of one record `level,sequence,stamp,flags;text` without its continuation lines (`
    KEY=value`).
    """
    return record.partition(";")[2].partition("\n")[0]
