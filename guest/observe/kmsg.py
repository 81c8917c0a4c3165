"""The kernel's log since a moment, read from /dev/kmsg; root of the initial user namespace only."""

from __future__ import annotations

import os


class Log:
    """Opened at a moment; gives what the kernel has logged since."""

    def __init__(self, path: str = "/dev/kmsg") -> None:
        self._fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        os.lseek(self._fd, 0, os.SEEK_END)
        self._lines: list[str] = []

    def lines(self) -> list[str]:
        """Every line since the beginning of this log, oldest first, without stamps; lines that the
        ring buffer overran are missing.
        """
        while True:
            try:
                record = os.read(self._fd, 8192)
            except BlockingIOError:
                return list(self._lines)
            except BrokenPipeError:  # the ring buffer overran us; the next read goes on behind the gap
                continue
            if not record:
                return list(self._lines)
            self._lines.append(message(record.decode(errors="replace")))

    def close(self) -> None:
        """Stops listening."""
        os.close(self._fd)


def message(record: str) -> str:
    """The text of one record `level,sequence,stamp,flags;text` without its continuation lines (`
    KEY=value`).
    """
    return record.partition(";")[2].partition("\n")[0]
