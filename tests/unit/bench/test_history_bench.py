"""The year that the bench synthesises is a year, and its figures are named."""

from __future__ import annotations

import pytest

from bench import history


def test_the_generated_year_of_runs_has_the_promised_size() -> None:
    manifest, records = next(history.year())
    assert len(records) == 4_000
    assert history.NIGHTS == 365
    assert {record.kernel for record in records} == {kernel.name for kernel in manifest.kernels}


def test_the_history_bench_prints_every_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "NIGHTS", 12)
    monkeypatch.setattr(history, "KERNELS", 2)
    assert [figure.key for figure in history.measure()] == [
        "fact_seconds",
        "widest_seconds",
        "names_seconds",
        "record_seconds",
        "megabytes",
    ]
