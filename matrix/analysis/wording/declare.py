"""Declares the words of one experiment, and has what several of them need."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

MOST_CHARACTERS = 24
"""Words that are longer are cut."""

Facts = Mapping[str, Any]
Words = Callable[[Facts], str]

declared: dict[str, Words] = {}
"""The words of each experiment by its name, of the modules that were imported."""


def words(function: Words) -> Words:
    """Declares a function of an experiment's facts as its words; the function's name with dashes is
    the experiment's.

    The words answer the experiment's question, and are others where the answer is another. The
    function may take for granted that the facts are those which the experiment declares.
    """
    name = function.__name__.replace("_", "-")
    if name in declared:
        raise ValueError(f"{function.__module__}: {name} has words already")
    declared[name] = function
    return function


def yes_no(holds: object) -> str:
    """`yes` or `no`."""
    return "yes" if holds else "no"


def by_key(items: Iterable[str]) -> dict[str, str]:
    """A list of `key: value` as a dict."""
    return {key: value for key, _, value in (item.partition(": ") for item in items)}
