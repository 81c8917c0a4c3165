"""What the agent in a guest sends back: a header that announces bytes, and the bytes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Answer:
    """One answer, not decoded: `header` is a line of JSON, `whole` the bytes that it announces."""

    header: bytes
    whole: bytes
