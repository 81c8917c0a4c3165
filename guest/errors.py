"""What can end an experiment without facts."""

from __future__ import annotations


class Unsupported(Exception):
    """The kernel (or modprobe, or iptables) cannot do it; the message is its own.

    The cell is `unsupported`.
    """


class Refused(Exception):
    """The kernel refused a request that the cell made to root of the initial namespace.

    `code` is the errno's name, or empty where a program spoke. An experiment that does not catch
    it is `unsupported`.
    """

    def __init__(self, message: str, code: str = "") -> None:
        self.code = code
        super().__init__(message)


class ToolFailed(Exception):
    """A program failed for another reason than the kernel's refusal: the cell is `error`."""
