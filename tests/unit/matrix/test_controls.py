from __future__ import annotations

from pathlib import Path

from guest.catalogue import CONTROLS
from matrix.analysis.controls import Controlled
from matrix.controls import controlled, keep_controls, read_controls
from matrix.plan.plan import Choice
from matrix.results.record import Record, Status
from tests.support.fakes import make_experiment


def test_each_experiment_is_asked_in_a_variant_of_roots_under_every_control() -> None:
    experiment = make_experiment("asked", variants={"scope": ("user", "root")})
    (choice,) = controlled([Choice(experiment, tuple(experiment.combinations()))])
    assert choice.variants == tuple({"scope": "root", "control": name} for name in CONTROLS)


def records(experiment: str, flows: int) -> list[Record]:
    return [
        Record("6.1.1", experiment, {"control": name}, Status.PASS, {"flows": value})
        for name, value in (("none", 3), ("lost", flows))
    ]


def test_a_later_run_replaces_the_proofs_of_its_own_experiments_only(tmp_path: Path) -> None:
    kept = tmp_path / "controls.json"
    assert read_controls(kept) == ()
    keep_controls([*records("one", 0), *records("other", 0)], kept)
    keep_controls(records("one", 3), kept)
    assert read_controls(kept) == (Controlled("other", "flows", "lost", "6.1.1", 3, 0),)
