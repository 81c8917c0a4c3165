"""Every command of ours in the documentation against the tasks and flags that there are."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence

import pytest
from invoke.parser.parser import Parser

import tasks
from commands.__main__ import with_flags, with_help_first
from commands.collection import Tasks, by_name
from guest.catalogue import load
from matrix.plan.selection import choose
from tests.support.documentation import NO_COMMANDS, PAGES, Documented, documented
from vms.kernels.spec import parse

KNOWN = by_name(Tasks.from_module(tasks))
COMMANDS = [command for page in PAGES for command in documented(page)]

OWN = {"my-question": "the reader's own experiment, which the line before writes"}
"""Experiments that only a reader has."""

NAMES = [command for command in COMMANDS if len(command.words) == 1]
"""Commands of which only the task is named, as prose does."""
WHOLE = [
    command for command in COMMANDS if len(command.words) > 1 and " ".join(command.words) not in NO_COMMANDS
]


def placeholder(word: str) -> bool:
    """Whether the reader is to put something in its place: `KERNEL`, `...`."""
    return re.fullmatch(r"[A-Z]+|\.\.\.", word) is not None


def values(words: Sequence[str], *flags: str) -> list[str]:
    """What follows these flags and is no placeholder."""
    given = [value for flag, value in itertools.pairwise(words) if flag in flags]
    return [value for value in given if not placeholder(value)]


def test_the_documentation_has_commands_and_each_is_checked_or_exempt() -> None:
    assert len(WHOLE) > 80
    assert len(NAMES) > 50
    assert len(COMMANDS) == len(WHOLE) + len(NAMES) + len(NO_COMMANDS)


@pytest.mark.parametrize("command", NAMES, ids=str)
def test_a_task_that_is_named_exists(command: Documented) -> None:
    assert command.words[0] in KNOWN


@pytest.mark.parametrize("command", WHOLE, ids=str)
def test_a_command_has_a_task_and_flags_that_exist_and_all_that_the_task_needs(command: Documented) -> None:
    words = with_flags(with_help_first(command.words))
    ours = list(itertools.takewhile(lambda word: word != "--", words))  # what follows is a script's
    Parser(list(KNOWN.values())).parse_argv(ours)  # raises ParseError


@pytest.mark.parametrize("command", WHOLE, ids=str)
def test_the_kernels_and_experiments_of_a_command_can_be_selected(command: Documented) -> None:
    task = command.words[0]
    if task == "test":  # whose -k is a part of a test's name
        return
    for spec in values(command.words, "-k", "--kernel"):
        parse(spec)
    for name in values(command.words, "-e", "--experiment"):
        if name not in OWN:
            assert choose([name], load())
