"""The catalogue as Markdown: every experiment with its docstring."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from itertools import groupby

from guest.catalogue import Experiment
from matrix.analysis.ledger.model import Ledger
from matrix.report.text.changes import commit_line
from matrix.report.words import counted


def catalogue_page(catalogue: Mapping[str, Experiment], ledger: Ledger) -> str:
    """The whole page: a list of questions by topic, then each experiment with its docstring, facts,
    invariants, and known changes.
    """
    topics = [
        (topic, list(members))
        for topic, members in groupby(catalogue.values(), key=lambda experiment: experiment.topic)
    ]
    cells = sum(len(experiment.combinations()) for experiment in catalogue.values())
    parts = [
        "# The catalogue",
        "",
        (
            f"{counted(len(catalogue), 'experiment')}, {counted(cells, 'cell')} for each kernel."
            " Written by `./invoke catalogue` from the experiments themselves."
        ),
        "The answers of several kernels are in [the reference run](../results/reference/README.md).",
        "",
    ]
    for topic, members in topics:
        parts += [
            f"- **{topic}**",
            *(f"  - [{member.name}](#{member.name}): {member.question}" for member in members),
        ]
    for topic, members in topics:
        parts += ["", f"## Topic: {topic}"]
        for member in members:
            parts += _experiment(member, ledger)
    return "\n".join(parts) + "\n"


def _experiment(experiment: Experiment, ledger: Ledger) -> list[str]:
    body = experiment.doc.partition("\n\n")[2].strip()
    parts = ["", f"### {experiment.name}", "", f"**{experiment.question}**", ""]
    parts += [textwrap.dedent(body), ""] if body else []
    parts += ["| fact | type | meaning |", "| --- | --- | --- |"]
    parts += [f"| `{fact.name}` | {fact.type.__name__} | {fact.meaning} |" for fact in experiment.facts]
    if experiment.variants:
        parts += [
            "",
            "Variants: "
            + "; ".join(f"`{name}` = {', '.join(values)}" for name, values in experiment.variants.items())
            + ".",
        ]
    if experiment.modules:
        parts += ["", f"Needs the kernel modules {', '.join(experiment.modules)}."]
    if experiment.invariants:
        parts += ["", "On every kernel:", "", *(f"- {invariant.text}" for invariant in experiment.invariants)]
    commits = dict.fromkeys(
        change.commit for change in ledger.changes if change.experiment == experiment.name
    )
    if commits:
        parts += ["", "Known to have changed:", "", *(f"- {commit_line(commit)}" for commit in commits)]
    return parts
