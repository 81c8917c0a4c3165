"""What the page's script reads: the whole run, with what many cells share written once."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from guest.catalogue import Experiment
from matrix.compare import compare_cells, left_neighbours
from matrix.plan import variant_name
from matrix.record import FactValue, Record, Status
from matrix.report.behaviour import GLYPHS, behaviours, frozen
from matrix.report.shown import shown, shown_value
from matrix.table import Row, Table


def embedded(table: Table, rows: Iterable[tuple[str, Row, Experiment | None]]) -> dict[str, Any]:
    """The data for the script; `rows` are (topic, row, experiment) in the order in which the page shows them."""
    pools = _Pools()
    return {
        "kernels": [
            {"name": k.name, "series": k.series, "release": k.release, "version": k.version, "flavour": k.flavour, "id": k.id}
            for k in table.kernels
        ],
        "statuses": {str(status): GLYPHS[status] for status in Status},
        "rows": [_row_data(row, pools.experiment(row.experiment, topic, experiment), pools) for topic, row, experiment in rows],
        "experiments": pools.experiments,
        "facts": pools.facts,
        "cells": pools.cells,
    }


def _row_data(row: Row, experiment: int, pools: _Pools) -> dict[str, Any]:
    numbers = behaviours(row.records)
    return {
        "experiment": experiment,
        "label": shown(row.label, 200),
        "variants": [variant_name(variant) for variant in row.variants],
        "values": {name: sorted({variant[name] for variant in row.variants}) for name in row.variants[0]},
        "cells": [pools.cell(record, number) for record, number in zip(row.records, numbers, strict=True)],
        "seconds": [round(record.seconds, 2) if record else 0 for record in row.records],
        "changes": [_change(row, column) for column, changed in enumerate(row.changed) if changed],
    }


def _change(row: Row, column: int) -> dict[str, Any]:
    after = row.records[column]
    before = left_neighbours(row.records)[column]
    differences = [difference for difference in compare_cells(before, after) if difference.kind.is_change]
    place = next(place for place in range(column - 1, -1, -1) if row.records[place] is before)
    facts = [
        {
            "fact": shown(d.fact, 100),
            "before": None if d.before is None else shown_value(d.before),
            "after": None if d.after is None else shown_value(d.after),
        }
        for d in differences
    ]
    return {"at": column, "from": place, "verdict": "unexplained", "facts": facts}


class _Pools:
    """What many cells share is written once: a hundred kernels mostly behave alike."""

    def __init__(self) -> None:
        self.experiments: list[dict[str, Any]] = []
        self.facts: list[dict[str, FactValue]] = []
        self.cells: list[dict[str, Any]] = []
        self._places: dict[object, int] = {}

    def experiment(self, name: str, topic: str, experiment: Experiment | None) -> int:
        def entry() -> dict[str, Any]:
            facts = {fact.name: fact.meaning for fact in experiment.facts} if experiment else {}
            invariants = [invariant.text for invariant in experiment.invariants] if experiment else []
            doc, question = (experiment.doc, experiment.question) if experiment else ("", "")
            return {"name": shown(name), "topic": topic, "question": question, "doc": doc, "facts": facts, "invariants": invariants}

        return self._place(self.experiments, ("experiment", name), entry)

    def cell(self, cell: Record | None, number: int) -> int:
        if cell is None:
            return -1
        key = frozen(cell.facts)
        facts = self._place(
            self.facts, ("facts", key), lambda: {shown(name, 100): shown_value(value) for name, value in cell.facts.items()}
        )
        whole = (cell.status, key, number, cell.reason, cell.evidence, cell.attempts)

        def entry() -> dict[str, Any]:
            return {
                "status": str(cell.status),
                "facts": facts,
                "behaviour": number,
                "reason": shown(cell.reason, 4_000),
                "evidence": list(cell.evidence),
                "attempts": cell.attempts,
            }

        return self._place(self.cells, ("cell", whole), entry)

    def _place(self, pool: list[Any], key: object, make: Callable[[], Any]) -> int:
        place = self._places.get(key)
        if place is None:
            place = self._places[key] = len(pool)
            pool.append(make())
        return place
