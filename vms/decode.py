"""Decodes JSON that somebody else wrote: a guest, another version, another person."""

from __future__ import annotations

from typing import TypeVar

import msgspec

T = TypeVar("T")


class Undecodable(ValueError):
    """The bytes are no JSON, are nested too deeply, or do not have the fields that they should."""


def decode(content: bytes, kind: type[T]) -> T:
    """The value of this type in the bytes. Raises Undecodable, which names the place, if there is
    none.
    """
    try:
        return msgspec.json.decode(content, type=kind)
    except RecursionError as error:  # each version of Python has words of its own for it
        raise Undecodable("it is nested too deeply") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Undecodable(str(error)) from error
