"""Which neighbours of a row are one strip."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bench import generate
from matrix.analysis.table import make_table
from matrix.report.page.strips import strips
from matrix.results.record import Record, Status
from vms.splats import Kind, Splat

SPLAT = Splat(Kind.STALL, "a stall", "stall: x")
A = Record("", "e", {}, Status.PASS, {"flows": 10})
B = Record("", "e", {}, Status.PASS, {"flows": 7})
FAILED = Record("", "e", {}, Status.FAIL, {"flows": 10})
SPLATTED = Record("", "e", {}, Status.PASS, {"flows": 10}, splats=(SPLAT,))
ERROR = Record("", "e", {}, Status.ERROR)
UNSTABLE = Record("", "e", {}, Status.UNSTABLE, {"flows": 10})
UNSUPPORTED = Record("", "e", {}, Status.UNSUPPORTED)


@pytest.mark.parametrize(
    ("cells", "spans"),
    [
        ((A, A, A), (3, 0, 0)),
        ((A, A, B, B, B, A), (2, 0, 3, 0, 0, 1)),
        ((A, FAILED, FAILED), (1, 2, 0)),
        ((A, SPLATTED, SPLATTED, A), (1, 2, 0, 1)),
        ((UNSUPPORTED, UNSUPPORTED, A), (2, 0, 1)),
        ((A, ERROR, ERROR, A), (1, 1, 1, 1)),
        ((A, UNSTABLE, UNSTABLE), (1, 1, 1)),
        ((None, None, A, A, None), (1, 1, 2, 0, 1)),
    ],
)
def test_neighbours_are_one_strip_if_they_behave_and_look_alike(
    cells: tuple[Record | None, ...], spans: tuple[int, ...]
) -> None:
    entries = generate.kernels(len(cells))
    records = [
        replace(record, kernel=entry.name) for entry, record in zip(entries, cells, strict=False) if record
    ]
    (row,) = make_table(generate.manifest(entries, ("e",)), records, {}).rows
    assert strips(row) == spans
