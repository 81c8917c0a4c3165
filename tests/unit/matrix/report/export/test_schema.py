"""The published schemas are those of today's types, and they tell right documents from wrong
ones.
"""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import msgspec
import pytest

from matrix.report.export.schema import PUBLISHED, schemas
from matrix.results.manifest import KernelEntry, Manifest, Surroundings
from matrix.results.record import Record, Status
from tests.support.project import ROOT

REFERENCE = ROOT / "results" / "reference"
RECORD = Record(
    "6.1.5",
    "table-full",
    {"scope": "root"},
    Status.PASS,
    {"flows": 7, "full": True, "states": ["a"], "counts": {"a": 1}},
)
KERNEL = KernelEntry(
    "6.1.5", "debian:6.1.5", "6.1", "6.1.5", "cloud", "6.1.5-1", "bookworm", sha256={"vmlinuz": "aa"}
)
MANIFEST = Manifest(
    "run",
    "plan",
    "2026-11-01T02:00:00+00:00",
    (),
    1,
    (),
    (KERNEL,),
    Surroundings("a", "b", "7.2", "tcg", "", ""),
)


@pytest.mark.parametrize("name", schemas())
def test_published_schemas_are_those_of_the_types(name: str) -> None:
    stale = f"docs/schema/{name} is stale; run `.venv/bin/python -m matrix.report.export.schema`"
    assert (PUBLISHED / name).exists(), stale
    assert (PUBLISHED / name).read_bytes() == schemas()[name], stale


def test_nothing_else_is_published() -> None:
    assert {path.name for path in PUBLISHED.glob("*.json")} == set(schemas())


def check(name: str, document: object) -> None:
    schema = json.loads(schemas()[f"{name}.schema.json"])
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(document, schema, jsonschema.Draft202012Validator)


@pytest.mark.parametrize(
    ("name", "value"), [("record", RECORD), ("results", [RECORD]), ("manifest", MANIFEST)]
)
def test_written_documents_are_valid(name: str, value: object) -> None:
    check(name, json.loads(msgspec.json.encode(value)))


def test_the_files_of_the_record_are_valid() -> None:
    check("answers", json.loads((REFERENCE / "answers.json").read_bytes()))
    builds = [json.loads(path.read_bytes()) for path in (REFERENCE / "builds").glob("*.json")]
    assert builds
    for build in builds:
        check("build", build)


@pytest.mark.parametrize(
    "change", [{"status": "fine"}, {"facts": {"flows": 1.5}}, {"variant": {"scope": 1}}, {"kernel": None}]
)
def test_wrong_documents_are_not_valid(change: dict[str, Any]) -> None:
    with pytest.raises(jsonschema.ValidationError):
        check("record", {**json.loads(msgspec.json.encode(RECORD)), **change})
