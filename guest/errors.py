"""What can end an experiment without facts."""

from __future__ import annotations


class Unsupported(Exception):
    """The kernel (or modprobe, or iptables) said that it cannot; the message holds its own words.

    The cell is `unsupported`.
    """


class Refused(Exception):
    """The kernel refused what the cell asked of the initial namespace's root.

    `code` is the errno's name, or empty where a program spoke. An experiment that does not catch
    it is `unsupported`.
    """

    def __init__(self, words: str, code: str = "") -> None:
        self.code = code
        super().__init__(words)


class ToolFailed(Exception):
    """A program of the userland failed for a reason of its own: the cell is `error`."""
