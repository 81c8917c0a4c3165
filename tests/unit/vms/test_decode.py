from __future__ import annotations

import pytest

from vms.decode import Undecodable, decode


def test_a_value_of_the_type_is_read() -> None:
    assert decode(b'{"a": [1]}', dict[str, list[int]]) == {"a": [1]}


def test_nesting_without_end_is_one_error() -> None:
    with pytest.raises(Undecodable, match=r"^it is nested too deeply$"):
        decode(b"[" * 1_000_000, object)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "truncated"),
        (b'{"a": "x"}', r"Expected `int`, got `str` - at `\$\[\.\.\.\]`"),
        (b'{"a": 1, "b": "\xff"}', "."),
    ],
)
def test_what_is_no_value_of_the_type_is_one_error(content: bytes, said: str) -> None:
    with pytest.raises(Undecodable, match=said):
        decode(content, dict[str, int])
