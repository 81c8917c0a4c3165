"""What an experiment declares about itself, and how the catalogue of them is found.

Both sides read this: the agent to run an experiment, the host to plan cells and to judge answers.
Nothing here imports scapy, which would cost the host a second at every start.
"""

from __future__ import annotations

import importlib
import inspect
import itertools
import linecache
import pkgutil
import sys
import types
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    ClassVar,
    Generic,
    TypeVar,
    dataclass_transform,
    get_origin,
    get_type_hints,
    overload,
)

from guest.controls import PARAMETER
from guest.family import Family

if TYPE_CHECKING:
    from guest.lab.lab import Lab

FactDict = dict[str, Any]
"""The facts of one cell by their names."""


@dataclass(frozen=True)
class Fact:
    """One named outcome.

    `type` is bool, int, str, list (of str) or dict (str to int); `meaning` is for the reader.
    `guard` is the reason why it is asked although nothing is known that changes it.
    """

    name: str
    type: type
    meaning: str
    guard: str = ""


@dataclass(frozen=True)
class Guard:
    """Says of a fact, after its meaning, why it is asked although nothing is known that changes
    it.
    """

    reason: str


@dataclass(frozen=True)
class Invariant:
    """What must hold on every kernel.

    `holds` is given the facts and the variant; a cell where it does not is `fail`.
    """

    text: str
    holds: Callable[[FactDict, Mapping[str, str]], bool]


_KINDS = (bool, int, str, list, dict)
SPLATS = "splats"
"""The fact that the host adds to an answer if the kernel reported errors of its own in its log. No
experiment can declare it.
"""


@dataclass_transform(kw_only_default=True, frozen_default=True)
class Facts:
    """The facts of one experiment as a class: a subclass annotates each with its type and meaning.

    `flows: Annotated[int, "flows in the table"]`. Made with exactly these names, which mypy checks;
    a wrong one raises TypeError when the experiment runs.
    """

    declared: ClassVar[tuple[Fact, ...]] = ()

    def __init_subclass__(cls) -> None:
        own = get_type_hints(cls, include_extras=True)
        del own["declared"]
        cls.declared = tuple(_fact(cls, name, hint) for name, hint in own.items())

    def __init__(self, **values: Any) -> None:
        names = {fact.name for fact in self.declared}
        if names != values.keys():
            wrong = ", ".join(sorted(names ^ values.keys()))
            raise TypeError(f"{type(self).__name__}: missing or not declared: {wrong}")
        self.__dict__.update(values)


def _fact(owner: type, name: str, hint: Any) -> Fact:
    kind, (meaning, *more) = get_origin(hint), getattr(hint, "__metadata__", ("",))
    if kind is Annotated:
        kind = get_origin(hint.__origin__) or hint.__origin__
    guards = [one.reason for one in more if isinstance(one, Guard) and one.reason]
    if kind not in _KINDS or not isinstance(meaning, str) or not meaning or len(guards) != len(more):
        raise TypeError(
            f"{owner.__module__}.{owner.__name__}.{name}: a fact is annotated with"
            " Annotated[bool, int, str, list[str] or dict[str, int], what it means], and perhaps a Guard"
            " with a reason"
        )
    return Fact(name, kind, meaning, "".join(guards))


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
    run: Callable[[Lab], FactDict]
    facts: tuple[Fact, ...]
    invariants: tuple[Invariant, ...]
    variants: Mapping[str, tuple[str, ...]]
    modules: tuple[str, ...]
    seconds: float
    cpus: int
    waits: bool = False
    alone: str = ""
    module: str = ""

    def combinations(self) -> list[dict[str, str]]:
        """Every variant of this experiment, one dict per cell; a single empty dict when it has
        none.
        """
        names = list(self.variants)
        return [
            dict(zip(names, values, strict=True)) for values in itertools.product(*self.variants.values())
        ]


_found: dict[str, Experiment] = {}
F = TypeVar("F", bound=Facts)
_Run = Callable[["Lab"], FactDict]


class Declared(Generic[F]):
    """An experiment whose facts are a class. Called, it runs."""

    def __init__(self, name: str, kind: type[F], function: Callable[[Lab], F]) -> None:
        self._name = name
        self._kind = kind
        self._function = function

    def __call__(self, lab: Lab) -> F:
        """The facts of one cell."""
        return self._function(lab)

    def invariant(
        self, text: str, *, when: Mapping[str, str] | None = None
    ) -> Callable[[Callable[[F], bool]], None]:
        """Declares what must hold on every kernel, or only in the variants that `when` selects."""

        def add(holds: Callable[[F], bool]) -> None:
            def checked(facts: FactDict, variant: Mapping[str, str]) -> bool:
                applies = all(variant[name] == value for name, value in (when or {}).items())
                return not applies or holds(self._kind(**facts))

            found = _found[self._name]
            _found[self._name] = replace(found, invariants=(*found.invariants, Invariant(text, checked)))

        return add


@overload
def experiment(
    *,
    variants: Mapping[str, Sequence[str]] | None = None,
    modules: Sequence[str] = (),
    seconds: float = 60.0,
    cpus: int = 1,
    waits: bool = False,
    alone: str = "",
) -> Callable[[Callable[[Lab], F]], Declared[F]]: ...
@overload
def experiment(
    *,
    facts: Sequence[Fact],
    invariants: Sequence[Invariant] = (),
    variants: Mapping[str, Sequence[str]] | None = None,
    modules: Sequence[str] = (),
    seconds: float = 60.0,
    cpus: int = 1,
    waits: bool = False,
    alone: str = "",
) -> Callable[[_Run], _Run]: ...
def experiment(
    *,
    facts: Sequence[Fact] | None = None,
    invariants: Sequence[Invariant] = (),
    variants: Mapping[str, Sequence[str]] | None = None,
    modules: Sequence[str] = (),
    seconds: float = 60.0,
    cpus: int = 1,
    waits: bool = False,
    alone: str = "",
) -> Callable[[Callable[[Lab], Any]], Any]:
    """Declares a function as an experiment.

    The function's name with dashes is the experiment's, its module the topic, its docstring's first
    line the question. What it returns is a subclass of Facts, named by its annotation; or, with
    `facts`, a dict. `modules` are kernel modules without which the question makes no sense: where
    one cannot be loaded the cell is `unsupported` with modprobe's own words. `seconds` bounds one
    run, generously: a busy host slows a guest down ten times. `cpus` is more than 1 only for
    experiments about races and about what the kernel defers. Parameters of `variants` say what
    hardware a cell's guest has: `cpus`, `memory` (MiB), `avx2` (on, off). `waits` says that nearly
    all of its time nothing happens in the guest, which then needs no processor to itself. `alone`
    is the reason why a cell needs a guest that answers no other: its answer depends on what was
    asked before, or it cannot be undone.
    """

    def declare(function: Callable[[Lab], Any]) -> Any:
        place = f"{function.__module__}.{function.__name__}"
        doc = inspect.getdoc(function)
        if not doc:
            raise ValueError(f"{place}: an experiment needs a docstring that asks its question")
        name = function.__name__.replace("_", "-")
        topic = function.__module__.rpartition(".")[2].replace("_", "-")
        if name in _found and _found[name].module != function.__module__:
            raise ValueError(
                f"{function.__module__}: an experiment called {name} is already in {_found[name].module}"
            )
        if PARAMETER in (variants or {}):
            raise ValueError(f"{place}: the parameter {PARAMETER} is that of guest.controls")
        kind = _returned(function) if facts is None else None
        declared = kind.declared if kind else tuple(facts or ())
        if any(fact.name == SPLATS for fact in declared):
            raise ValueError(
                f"{place}: the name {SPLATS} is that of a fact which every experiment has already"
            )
        _found[name] = Experiment(
            name=name,
            topic=topic,
            question=" ".join(doc.split("\n\n")[0].split()),
            doc=doc,
            run=(lambda lab: vars(function(lab))) if kind else function,
            facts=declared,
            invariants=tuple(invariants),
            variants={key: tuple(values) for key, values in (variants or {}).items()},
            modules=tuple(modules),
            seconds=seconds,
            cpus=cpus,
            waits=waits,
            alone=alone,
            module=function.__module__,
        )
        return Declared(name, kind, function) if kind else function

    return declare


def _returned(function: Callable[[Lab], Any]) -> type[Facts]:
    """The subclass of Facts that a function's annotation says it returns."""
    annotation = function.__annotations__.get("return")
    kind = function.__globals__.get(annotation) if isinstance(annotation, str) else annotation
    if not (isinstance(kind, type) and issubclass(kind, Facts) and kind.declared):
        raise TypeError(
            f"{function.__module__}.{function.__name__}: an experiment is annotated with the subclass of"
            " Facts that it returns, or declares `facts`"
        )
    return kind


@dataclass(frozen=True)
class Source:
    """A module of experiments as text: its name, the file that the text is from, and the text."""

    module: str
    file: str
    text: str

    def load(self) -> dict[str, Experiment]:
        """The experiments of the text by name, in place of those that the module had.

        Raises what the text raises; then nothing has changed.
        """
        found, loaded = dict(_found), sys.modules.get(self.module)
        for name, experiment in found.items():
            if experiment.module == self.module:
                del _found[name]
        made = types.ModuleType(self.module)
        made.__file__ = self.file
        sys.modules[self.module] = made
        # For tracebacks, where the file has another text, or is not there.
        linecache.cache[self.file] = (len(self.text), None, self.text.splitlines(True), self.file)
        try:
            exec(compile(self.text, self.file, "exec"), made.__dict__)
        except BaseException:
            _found.clear()
            _found.update(found)
            if loaded:
                sys.modules[self.module] = loaded
            raise
        return {name: one for name, one in _found.items() if one.module == self.module}


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
