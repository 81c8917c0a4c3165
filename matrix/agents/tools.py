"""The tools that a program may call: the name, the arguments, and what answers."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import msgspec

from matrix.agents import ask, differing, explain, reading, requests
from matrix.agents.jobs import Jobs
from matrix.agents.reading import Reader
from vms.errors import UsageError
from vms.suggest import suggestion


@dataclass(frozen=True)
class Tool:
    """One tool. `reads`: whether it only reads, and starts nothing."""

    request: type[requests.Request]
    answer: Callable[[Any], msgspec.Struct]
    reads: bool = True

    @property
    def description(self) -> str:
        """What it does."""
        return " ".join(inspect.getdoc(self.request).split())  # type: ignore[union-attr]

    @property
    def schema(self) -> dict[str, Any]:
        """The JSON Schema of its arguments."""
        (schema,) = msgspec.json.schema(self.request)["$defs"].values()
        return {key: value for key, value in schema.items() if key not in ("title", "description")}


def tools(reader: Reader, jobs: Jobs) -> Mapping[str, Tool]:
    """The tools by name."""
    return {
        "kernels": Tool(requests.Kernels, partial(reading.kernels, reader)),
        "experiments": Tool(requests.Experiments, partial(reading.experiments, reader)),
        "explain": Tool(requests.Explain, partial(explain.explain, reader)),
        "compare": Tool(requests.Compare, partial(differing.compare, reader)),
        "upgrade": Tool(requests.Upgrade, partial(differing.upgrade, reader)),
        "history": Tool(requests.History, partial(reading.history, reader)),
        "ask": Tool(requests.Ask, partial(ask.ask, reader, jobs), reads=False),
        "job": Tool(requests.Job, partial(ask.look, jobs)),
    }


def call(known: Mapping[str, Tool], name: str, arguments: Mapping[str, Any]) -> str:
    """The answer of a tool as compact JSON.

    Raises UsageError that names the argument if there is no such tool or argument, or if a value is
    out of bounds; MatrixError if there is no answer.
    """
    if name not in known:
        raise UsageError(f"there is no tool {name!r}; {suggestion(name, known)}")
    try:
        asked = msgspec.convert(arguments, known[name].request)
    except msgspec.ValidationError as error:
        raise UsageError(f"{name}: {str(error).replace('`$.', '`')}") from error
    return msgspec.json.encode(known[name].answer(asked)).decode()
