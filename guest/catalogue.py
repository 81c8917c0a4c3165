"""What an experiment declares about itself, and how the catalogue of them is found.

Both sides read this: the agent to run an experiment, the host to plan cells and to judge answers.
Nothing here imports scapy, which would cost the host a second at every start.
"""

from __future__ import annotations

import importlib
import inspect
import itertools
import pkgutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from guest.family import Family

if TYPE_CHECKING:
    from guest.lab.lab import Lab

Facts = dict[str, Any]


@dataclass(frozen=True)
class Fact:
    """One named outcome.

    `type` is bool, int, str, list (of str) or dict (str to int); `meaning` is for the reader.
    """

    name: str
    type: type
    meaning: str


@dataclass(frozen=True)
class Invariant:
    """What must hold on every kernel.

    `holds` is given the facts and the variant; a cell where it does not is `fail`.
    """

    text: str
    holds: Callable[[Facts, Mapping[str, str]], bool]


FAMILIES = tuple(family.value for family in Family)
"""The values of the parameter `family`, for a question that both have."""
SCOPES = ("user", "root")
"""The values of `scope`: an ordinary user's namespace, and one of the guest's root."""
IPTABLES = ("legacy", "nft")
"""The values of `frontend` for rules that only iptables can express."""
FRONTENDS = (*IPTABLES, "native")
"""The values of `frontend`: iptables over its own tables, over nf_tables, and nft's language."""


@dataclass(frozen=True)
class Experiment:
    """One question asked of a kernel, as declared by `@experiment`."""

    name: str
    topic: str
    question: str
    doc: str
    run: Callable[[Lab], Facts]
    facts: tuple[Fact, ...]
    invariants: tuple[Invariant, ...]
    variants: Mapping[str, tuple[str, ...]]
    modules: tuple[str, ...]
    seconds: float
    cpus: int
    waits: bool = False

    def combinations(self) -> list[dict[str, str]]:
        """Every variant of this experiment, one dict per cell; a single empty dict when it has
        none.
        """
        names = list(self.variants)
        return [
            dict(zip(names, values, strict=True)) for values in itertools.product(*self.variants.values())
        ]


_found: dict[str, Experiment] = {}


def experiment(
    *,
    facts: Sequence[Fact],
    invariants: Sequence[Invariant] = (),
    variants: Mapping[str, Sequence[str]] | None = None,
    modules: Sequence[str] = (),
    seconds: float = 60.0,
    cpus: int = 1,
    waits: bool = False,
) -> Callable[[Callable[[Lab], Facts]], Callable[[Lab], Facts]]:
    """Declares a function as an experiment.

    The function's name with dashes is the experiment's, its module the topic, its docstring's first
    line the question. `modules` are kernel modules without which the question makes no sense: where
    one cannot be loaded the cell is `unsupported` with modprobe's own words. `seconds` bounds one
    run, generously: a busy host slows a guest down ten times. `cpus` is more than 1 only for
    experiments about races. `waits` says that nearly all of its time nothing happens in the guest,
    which then needs no processor to itself.
    """

    def declare(function: Callable[[Lab], Facts]) -> Callable[[Lab], Facts]:
        doc = inspect.getdoc(function)
        if not doc:
            raise ValueError(
                f"{function.__module__}.{function.__name__}: an experiment needs a docstring that asks its"
                " question"
            )
        name = function.__name__.replace("_", "-")
        if name in _found and _found[name].run.__module__ != function.__module__:
            raise ValueError(
                f"{function.__module__}: an experiment called {name} is already in"
                f" {_found[name].run.__module__}"
            )
        _found[name] = Experiment(
            name=name,
            topic=function.__module__.rpartition(".")[2].replace("_", "-"),
            question=" ".join(doc.split("\n\n")[0].split()),
            doc=doc,
            run=function,
            facts=tuple(facts),
            invariants=tuple(invariants),
            variants={key: tuple(values) for key, values in (variants or {}).items()},
            modules=tuple(modules),
            seconds=seconds,
            cpus=cpus,
            waits=waits,
        )
        return function

    return declare


def load(own: Path | None = None) -> dict[str, Experiment]:
    """Every experiment of `guest/experiments/` and of the user's own directory, by name, in the
    order of modules and of definition.
    """
    package = importlib.import_module("guest.experiments")
    if own and str(own) not in package.__path__:
        package.__path__.append(str(own))
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"guest.experiments.{module.name}")
    return dict(_found)
