"""The published JSON Schemas of what conntrack-matrix writes for other programs.

`python -m matrix.report.export.schema` writes them to docs/schema/.
"""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import msgspec

from matrix.analysis.upgrade import UpgradeReport
from matrix.baseline.baseline import BaselineFile
from matrix.baseline.outcome import Night
from matrix.bisect.outcome import Bisection
from matrix.history.query import Line
from matrix.report.export.notification import Notification
from matrix.report.website.api import (
    BuildDocument,
    CommitDocument,
    IndexDocument,
    QuestionDocument,
    TopicDocument,
)
from matrix.results.directory import json_bytes
from matrix.results.manifest import Manifest
from matrix.results.published import PublishedAnswer, PublishedBuild
from matrix.results.record import Record
from vms.files import write_whole

PUBLISHED = Path(__file__).parents[3] / "docs" / "schema"

# File name without its ending -> the type, and what it describes.
_DOCUMENTS: dict[str, tuple[Any, str]] = {
    "manifest": (Manifest, "`manifest.json` of a run directory"),
    "results": (list[Record], "`results.json` of a run directory: every cell"),
    "record": (Record, "`record.json` of one cell"),
    "answers": (list[PublishedAnswer], "`answers.json` of the record: every answer, once"),
    "build": (PublishedBuild, "`builds/BUILD.json` of the record: which answers the build gave"),
    "baseline": (BaselineFile, "`matrix.baseline.json`: the accepted answers"),
    "nightly": (
        Night,
        "`nightly.json` of a nightly run's directory, and what `./invoke nightly --json` prints",
    ),
    "notification": (Notification, "what `./invoke nightly --notify` posts as JSON"),
    "upgrade": (UpgradeReport, "what `./invoke upgrade FROM TO --json` prints"),
    "bisect": (Bisection, "what `./invoke bisect FACT OLD NEW --json` prints"),
    "history": (list[Line], "what `./invoke history FACT --json` prints: the fact's history in each cell"),
    "site-index": (IndexDocument, "`api/index.json` of a site that `./invoke site` wrote"),
    "site-build": (BuildDocument, "`api/build/NAME.json` of a site"),
    "site-question": (QuestionDocument, "`api/question/NAME.json` of a site"),
    "site-commit": (CommitDocument, "`api/commit/KEY.json` of a site"),
    "site-topic": (TopicDocument, "`api/topic/NAME.json` of a site"),
}


def schemas() -> dict[str, bytes]:
    """Each schema's file name and text, made from the types that are written, so both agree."""
    made = {}
    for name, (kind, what) in _DOCUMENTS.items():
        schema = _cleaned(msgspec.json.schema(kind))
        document = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": what, **schema}
        made[f"{name}.schema.json"] = json_bytes(document, indent=2)
    return made


def _cleaned(schema: Any) -> Any:
    """The schema with descriptions dedented, which Python 3.13 does itself and 3.11 does not."""
    if isinstance(schema, dict):
        return {
            key: (
                inspect.cleandoc(value)
                if key == "description" and isinstance(value, str)
                else _cleaned(value)
            )
            for key, value in schema.items()
        }
    return [_cleaned(item) for item in schema] if isinstance(schema, list) else schema


def publish(directory: Path = PUBLISHED) -> None:
    """Writes the schemas."""
    for name, text in schemas().items():
        write_whole(directory / name, text)


if __name__ == "__main__":
    publish()
