"""Selects experiments and variants by name: `table-full`, `table-*`,
`table-full[frontend=legacy/nft,scope=root]`.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from guest.catalogue import Experiment
from matrix.plan.plan import Choice, variant_name
from vms.errors import UsageError
from vms.program import COMMAND
from vms.suggest import suggestion

_SELECTED = re.compile(r"(?P<glob>.+)\[(?P<selector>[^\[\]]*)\]")


def choose(specs: Iterable[str], catalogue: Mapping[str, Experiment]) -> tuple[Choice, ...]:
    """The experiments that the specs name, in the catalogue's order, each with the variants that
    any spec selects.

    A spec is a name or a glob. Brackets after it restrict variants: the values that a parameter may
    have, separated by `/`; a parameter that is not named may have any value. Raises UsageError for
    a spec that names nothing.
    """
    chosen: dict[str, set[str]] = {}
    for text in specs:
        if not text.strip():
            raise UsageError("--experiment: a name is missing; give for example table-full or 'table-*'")
        for experiment, variants in _named(_parse(text, catalogue), text, catalogue):
            chosen.setdefault(experiment.name, set()).update(map(variant_name, variants))
    if not chosen:
        raise UsageError(
            "no experiments are selected: `experiments` in matrix.toml is empty; name some there or with -e"
        )
    return tuple(
        Choice(
            experiment,
            tuple(variant for variant in experiment.combinations() if variant_name(variant) in chosen[name]),
        )
        for name, experiment in catalogue.items()
        if name in chosen
    )


@dataclass(frozen=True)
class _Spec:
    """A glob, and the values that parameters of a variant may have."""

    glob: str
    wanted: Mapping[str, tuple[str, ...]]


def _parse(text: str, catalogue: Mapping[str, Experiment]) -> _Spec:
    found = _SELECTED.fullmatch(text)
    # globs can have brackets, too: *-[ef]ull
    if not found or ("=" not in text and fnmatch.filter(catalogue, text)):
        return _Spec(text, {})
    return _Spec(found["glob"], wanted_values(found["selector"], text))


def wanted_values(selector: str, text: str) -> dict[str, tuple[str, ...]]:
    """The values that parameters of a variant may have: `frontend=legacy/nft,scope=root`. Raises
    UsageError, which names the whole `text`.
    """
    wanted: dict[str, tuple[str, ...]] = {}
    for part in selector.split(","):
        parameter, equals, values = (word.strip() for word in part.partition("="))
        if not parameter or not equals or not all(values.split("/")):
            raise UsageError(
                f"{text!r}: {part.strip()!r} is not parameter=value, as in"
                " 'table-full[frontend=legacy/nft,scope=root]'"
            )
        if parameter in wanted:
            raise UsageError(
                f"{text!r}: {parameter} is given twice; {parameter}={'/'.join(wanted[parameter])}/{values}"
                " means either"
            )
        wanted[parameter] = tuple(values.split("/"))
    return wanted


def has_values(variant: Mapping[str, str], wanted: Mapping[str, Collection[str]]) -> bool:
    """Whether each of these parameters of a variant has one of its wanted values."""
    return all(variant.get(parameter) in values for parameter, values in wanted.items())


def _named(
    spec: _Spec, text: str, catalogue: Mapping[str, Experiment]
) -> list[tuple[Experiment, list[dict[str, str]]]]:
    """The experiments that match the glob, with their matching variants; experiments without any
    are omitted.
    """
    names = fnmatch.filter(catalogue, spec.glob)
    if not names:
        listing = f"`{COMMAND} experiments` lists all {len(catalogue)}"
        raise UsageError(f"there is no experiment {spec.glob!r}; {suggestion(spec.glob, catalogue, listing)}")
    for parameter, values in spec.wanted.items():
        _refuse_unknown(text, parameter, values, [catalogue[name] for name in names])
    found = [(catalogue[name], _matching(catalogue[name], spec)) for name in names]
    asked = [(experiment, variants) for experiment, variants in found if variants]
    if not asked:
        raise UsageError(
            f"{text!r}: no experiment has a variant with all of these; `{COMMAND} experiments` lists the"
            " variants of each"
        )
    return asked


def _matching(experiment: Experiment, spec: _Spec) -> list[dict[str, str]]:
    return [variant for variant in experiment.combinations() if has_values(variant, spec.wanted)]


def _refuse_unknown(text: str, parameter: str, values: Iterable[str], experiments: list[Experiment]) -> None:
    """Raises UsageError for a parameter or a value that none of the experiments has: if it were
    ignored, it would look as if it had been run.
    """
    which = experiments[0].name if len(experiments) == 1 else "none of these experiments"
    parameters = dict.fromkeys(name for experiment in experiments for name in experiment.variants)
    if not parameters:
        raise UsageError(
            f"{text!r}: {which} has {'no variants' if len(experiments) == 1 else 'any variants'}; remove the"
            " brackets"
        )
    if parameter not in parameters:
        has = f"{which} has {'no' if len(experiments) == 1 else 'a'} parameter {parameter!r}"
        raise UsageError(f"{text!r}: {has}; {suggestion(parameter, parameters)}")
    known = list(
        dict.fromkeys(value for experiment in experiments for value in experiment.variants.get(parameter, ()))
    )
    for value in values:
        if value not in known:
            raise UsageError(f"{text!r}: {parameter} is never {value!r}; {suggestion(value, known)}")
