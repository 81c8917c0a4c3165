"""The data for the page's script: the whole run. Parts that many cells share are written once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from guest.catalogue import Experiment
from matrix.analysis.analysis import ExplainedChange, ExplainedFact
from matrix.analysis.behaviour import COLOURS, GLYPHS, colour, letter
from matrix.analysis.fact_value import delta, frozen_facts, item_texts
from matrix.analysis.ledger.explain import Verdict
from matrix.analysis.ledger.model import Commit
from matrix.analysis.table import Row, Table
from matrix.plan.plan import variant_name
from matrix.report.page.way import Way, ways
from matrix.report.words import in_words, leak_in_words
from matrix.results.record import MOST_ITEMS, FactValue, Record, Status, shown_value
from vms.program import COMMAND
from vms.text import shown

_VERDICT_TITLES = {
    Verdict.EXPLAINED: "Explained change",
    Verdict.UNEXPLAINED: "Unexplained change",
    Verdict.CONTRADICTED: "Not the change that the ledger expects",
}
_WHOLE_CHARACTERS = 80  # of lists and maps that are longer, only the difference is shown


@dataclass(frozen=True)
class PageRow:
    """A row of the page: its topic, its experiment if the catalogue still has it, and its changes
    by column.
    """

    topic: str
    row: Row
    experiment: Experiment | None
    changes: Mapping[int, ExplainedChange]


def embedded(table: Table, rows: Iterable[PageRow]) -> dict[str, Any]:
    """The data for the script; `rows` are in the order in which the page shows them."""
    pools = _Pools()
    return {
        "kernels": [
            {
                "name": k.name,
                "series": k.series,
                "release": k.release,
                "version": k.version,
                "flavour": k.flavour,
                "id": k.id,
            }
            for k in table.kernels
        ],
        "statuses": {str(status): GLYPHS[status] for status in Status},
        "verdicts": {str(verdict): _VERDICT_TITLES[verdict] for verdict in Verdict},
        "colours": COLOURS,
        "rows": [_row_data(page_row, pools) for page_row in rows],
        "experiments": pools.experiments,
        "facts": pools.facts,
        "ways": pools.ways,
        "cells": pools.cells,
        "ledger": pools.commits,
        "command": COMMAND,
    }


def _row_data(of: PageRow, pools: _Pools) -> dict[str, Any]:
    row = of.row
    told = zip(row.behaviours, row.words, strict=False)  # a row may have no words
    return {
        "experiment": pools.experiment(row.experiment, of.topic, of.experiment),
        "label": shown(row.label, 200),
        "variants": [variant_name(variant) for variant in row.variants],
        "values": _values(row.variants),
        "cells": [
            pools.cell(record, number) for record, number in zip(row.records, row.behaviours, strict=True)
        ],
        "words": {number: text for number, text in told if number >= 0},
        "seconds": [round(record.seconds, 2) if record else 0 for record in row.records],
        "places": [record.asked.place if record else 0 for record in row.records],
        "reused": [record.reused if record else "" for record in row.records],
        "changes": [_change_data(change, pools) for change in of.changes.values()],
    }


def _values(variants: Sequence[Mapping[str, str]]) -> dict[str, list[str]]:
    """The values of each parameter; an experiment that was rewritten may have had others."""
    names = dict.fromkeys(name for variant in variants for name in variant)
    return {name: sorted({variant[name] for variant in variants if name in variant}) for name in names}


def _change_data(change: ExplainedChange, pools: _Pools) -> dict[str, Any]:
    data: dict[str, Any] = {
        "from": change.before,
        "at": change.after,
        "verdict": change.verdict,
        "facts": [_fact_data(fact, pools) for fact in change.facts],
    }
    if change.lost:
        data["lost"] = [pools.commit(commit) for commit in change.lost]
    return data


def _fact_data(fact: ExplainedFact, pools: _Pools) -> dict[str, Any]:
    difference, explanation = fact.difference, fact.explanation
    data: dict[str, Any] = {
        "fact": shown(difference.fact, 100),
        "verdict": explanation.verdict,
        "moved": moved(difference.before, difference.after),
    }
    if explanation.commits:
        data["commits"] = [pools.commit(commit) for commit in explanation.commits]
    if explanation.missing:
        data["missing"] = [shown(item, 100) for item in explanation.missing[:MOST_ITEMS]]
    return data


def moved(before: FactValue | None, after: FactValue | None) -> str:
    """Both values of a fact in words; of long lists and maps only the difference.

    >>> moved(7, None)
    '7 → absent'
    """
    before, after = (None if value is None else shown_value(value) for value in (before, after))
    was, now = ("absent" if value is None else in_words(value) for value in (before, after))
    if max(len(was), len(now)) > _WHOLE_CHARACTERS and isinstance(before, list | dict):
        differing = delta(before, after)
        less, more = item_texts(before, differing.before), item_texts(after, differing.after)
        if len(less) < len(before) and (less or more):
            parts = (
                f"{word} {', '.join(texts)}" for word, texts in (("without", less), ("with", more)) if texts
            )
            return "; ".join(parts)
    return f"{was} → {now}"


def where(commit: Commit) -> str:
    """Says which kernels hold the commit."""
    if commit.distribution:
        return f"Debian's packages from {', '.join(commit.distribution)}"
    back = f", backported to {', '.join(commit.backports)}" if commit.backports else ""
    return f"mainline {commit.mainline}{back}"


class _Pools:
    """Lists that cells and changes refer to by place, so that equal entries are written once: a
    hundred kernels mostly behave alike.
    """

    def __init__(self) -> None:
        self.experiments: list[dict[str, Any]] = []
        self.facts: list[dict[str, FactValue]] = []
        self.ways: dict[int, tuple[Way, ...]] = {}  # by the place of the facts that count the packets
        self.cells: list[dict[str, Any]] = []
        self.commits: list[dict[str, Any]] = []
        self._places: dict[object, int] = {}

    def experiment(self, name: str, topic: str, experiment: Experiment | None) -> int:
        def entry() -> dict[str, Any]:
            facts = {fact.name: fact.meaning for fact in experiment.facts} if experiment else {}
            invariants = [invariant.text for invariant in experiment.invariants] if experiment else []
            doc, question = (experiment.doc, experiment.question) if experiment else ("", "")
            return {
                "name": shown(name),
                "topic": topic,
                "question": question,
                "doc": doc,
                "facts": facts,
                "invariants": invariants,
            }

        return self._place(self.experiments, ("experiment", name), entry)

    def commit(self, commit: Commit) -> int:
        def entry() -> dict[str, Any]:
            return {
                "title": commit.title,
                "hash": commit.hash[:12],
                "link": commit.link,
                "sentence": commit.sentence,
                "where": where(commit),
            }

        return self._place(self.commits, ("commit", commit.key), entry)

    def cell(self, cell: Record | None, number: int) -> int:
        if cell is None:
            return -1
        key = frozen_facts(cell.facts)
        facts = self._place(
            self.facts,
            ("facts", key),
            lambda: {shown(name, 100): shown_value(value) for name, value in cell.facts.items()},
        )
        if facts not in self.ways and (found := ways(cell.facts)):
            self.ways[facts] = found
        whole = (cell.status, key, number, cell.reason, cell.evidence, cell.attempts, cell.splats, cell.leak)
        splats = [splat.line for splat in cell.splats]
        leak = leak_in_words(cell)

        def entry() -> dict[str, Any]:
            return (
                {
                    "status": str(cell.status),
                    "facts": facts,
                    "behaviour": number,
                    "letter": letter(number),
                    "colour": colour(number),
                    "reason": shown(cell.reason, 4_000),
                    "evidence": list(cell.evidence),
                    "attempts": cell.attempts,
                }
                | ({"splats": splats} if splats else {})
                | ({"leak": leak} if leak else {})
            )

        return self._place(self.cells, ("cell", whole), entry)

    def _place(self, pool: list[Any], key: object, make: Callable[[], Any]) -> int:
        place = self._places.get(key)
        if place is None:
            place = self._places[key] = len(pool)
            pool.append(make())
        return place
