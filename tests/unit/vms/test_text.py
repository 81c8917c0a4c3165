from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vms.errors import FetchError, LostGuest
from vms.text import shown


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("\x1b[31mred\x07\x7f", "␛[31mred␇␡"),
        ("NUL \0, C1 \x9b", "NUL ␀, C1 <U+009B>"),
        ("a\tb\r\nc\rd", "a\tb\nc␍d"),
        ("noncharacters \ufffe \uffff \U0001ffff", "noncharacters <U+FFFE> <U+FFFF> <U+1FFFF>"),
        ("\u00ad \u061c \u180e \u202e", "<U+00AD> <U+061C> <U+180E> <U+202E>"),
        ("\ufeff \ufff9 \U000e0041", "<U+FEFF> <U+FFF9> <U+E0041>"),
        ("\u034f \u115f \u3164 \ufe0f \U000e0100", "<U+034F> <U+115F> <U+3164> <U+FE0F> <U+E0100>"),
        (
            "surrogate \ud800, private \ue000, line \u2028",
            "surrogate <U+D800>, private <U+E000>, line <U+2028>",
        ),
        ("Grüße, 日本, 🙂, a\u00a0b", "Grüße, 日本, 🙂, a\u00a0b"),
    ],
)
def test_what_cannot_be_seen_is_made_visible(text: str, seen: str) -> None:
    assert shown(text) == seen


@given(st.text(), st.integers(0, 50))
def test_shown_text_is_bounded_holds_nothing_hidden_and_stays_as_it_is(text: str, most: int) -> None:
    seen = shown(text, most)
    assert len(seen) <= most + 40
    assert {unicodedata.category(c) for c in seen if c not in "\n\t"}.isdisjoint(
        {"Cc", "Cf", "Cs", "Co", "Cn"}
    )
    assert shown(seen, most) == seen


def test_the_end_of_a_cut_text_says_how_much_is_missing() -> None:
    assert shown("x" * 1_500, 10) == "xxxxxxxxxx … 1,490 characters more"
    assert len(shown("x … " + "9" * 10**6 + " characters more", 1)) < 50


def test_the_message_of_an_error_is_cleaned_and_bounded() -> None:
    assert str(FetchError("dpkg-deb: \x1b[31m")) == "dpkg-deb: ␛[31m"
    assert len(str(LostGuest("gone", "x" * 10**6))) < 10_100
