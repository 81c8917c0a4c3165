"""A run in the Test Anything Protocol, version 14
(https://testanything.org/tap-version-14-specification.html).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence

from matrix.plan.plan import variant_name
from matrix.results.record import Record, Status, shown_value
from vms.text import shown

_KEY_CHARACTERS = 400
"""YAML reads no key of more than 1,024 characters (YAML 1.2.2, section 7.4.2), quoted."""


def tap(records: Sequence[Record]) -> str:
    """One test point per cell, its facts as YAML.

    `unsupported` is skipped; `unstable` is a TODO, since it neither passes nor fails; `fail`,
    `crash` and `timeout` are not ok. `error` is not ok either: the kernel did not fail, but TAP has
    no other word that keeps a failure of the tool from looking like success.
    """
    return "\n".join(["TAP version 14", f"1..{len(records)}", *_points(records)]) + "\n"


def _points(records: Iterable[Record]) -> Iterator[str]:
    for number, record in enumerate(records, 1):
        ok = record.status in (Status.PASS, Status.UNSUPPORTED)
        name = _escaped(
            " ".join(filter(None, (record.experiment, variant_name(record.variant), "on", record.kernel)))
        )
        reason = _escaped(record.reason)
        directive = {
            Status.UNSUPPORTED: f" # SKIP unsupported: {reason}",
            Status.UNSTABLE: f" # TODO unstable: {reason}",
        }.get(record.status, "")
        yield f"{'ok' if ok else 'not ok'} {number} - {name}{directive}"
        yield from _diagnostics(record)


def _diagnostics(record: Record) -> Iterator[str]:
    yield "  ---"
    yield f"  status: {record.status.value}"
    yield f"  duration_ms: {record.seconds * 1000:.0f}"
    if record.reason:
        yield f"  message: {_scalar(shown(record.reason))}"
    if record.facts:
        yield "  facts:"
        # JSON is YAML, and on one line nothing in a value can end the block.
        yield from (
            f"    {_scalar(shown(name, _KEY_CHARACTERS))}: {_scalar(shown_value(value, _KEY_CHARACTERS))}"
            for name, value in record.facts.items()
        )
    if record.splats:
        yield "  splats:"
        yield from (f"    - {_scalar(splat.line)}" for splat in record.splats)
    yield "  ..."


def _scalar(value: object) -> str:
    # Not escaped as \u: in YAML, unlike JSON, two such escapes are not one character.
    return json.dumps(value, ensure_ascii=False)


def _escaped(text: str) -> str:
    """The text on one line, with characters that would start a directive escaped."""
    return " ".join(shown(text, 200).split()).replace("\\", "\\\\").replace("#", "\\#")
