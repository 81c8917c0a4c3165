"""The proofs that facts can take another value, as Markdown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import groupby

from guest.controls import CONTROLS
from matrix.analysis.controls import Proof, Proven

_MEANINGS = {
    Proof.KERNELS: "two kernels of the reference differ",
    Proof.VARIANTS: "two variants differ on one kernel of the reference",
    Proof.CONTROL: "one kernel answers differently when something is taken away or broken",
    Proof.GUARD: "no kernel and no control at hand changes it; it is asked for the reason given",
    Proof.NONE: "no proof yet",
}


def controls_page(proofs: Sequence[Proven]) -> str:
    """The whole page: how many facts are proven in which way, then each fact."""
    counts = Counter(proven.proof for proven in proofs)
    without = counts[Proof.NONE] / len(proofs) if proofs else 0.0
    parts = [
        "# Controls",
        "",
        "A fact that cannot differ says nothing about a kernel. For each fact of the catalogue this page"
        " names two cells of [the reference run](../results/reference/README.md) that show it with two"
        " values, or a control that changed it. Written by `./invoke controls`; with `-k` that asks a"
        " kernel first.",
        "",
        f"{len(proofs)} facts, {without:.0%} of them without proof.",
        "",
        "| proof | facts | what it is |",
        "| --- | --- | --- |",
        *(f"| {proof} | {counts[proof]} | {meaning} |" for proof, meaning in _MEANINGS.items()),
    ]
    parts += ["", "| control | what it does |", "| --- | --- |"]
    parts += [f"| `{name}` | {control.meaning} |" for name, control in CONTROLS.items()]
    for experiment, facts in groupby(proofs, key=lambda proven: proven.experiment):
        parts += ["", f"## {experiment}", "", "| fact | proof | where |", "| --- | --- | --- |"]
        parts += [f"| `{proven.fact}` | {proven.proof} | {proven.where} |" for proven in facts]
    return "\n".join(parts) + "\n"
