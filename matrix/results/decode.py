"""Reads the JSON files of a run directory, which another version may have written."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

import msgspec

from matrix import VERSION
from matrix.results.manifest import Manifest, Number
from matrix.results.record import SCHEMA, Record
from vms.decode import Undecodable, decode
from vms.errors import UsageError

T = TypeVar("T")


class Origin(msgspec.Struct):
    """The fields of a manifest that are the same in every schema."""

    version: str = ""
    finished: str = ""
    number: Number = 0


class _Form(msgspec.Struct):
    schema: int = SCHEMA


def read_manifest(run: Path) -> Manifest:
    """The manifest of a run directory.

    Raises OSError, or UsageError if the file is damaged or of another schema.
    """
    return read_file(run, run / "manifest.json", Manifest)


def read_results(run: Path) -> list[Record]:
    """The records in `results.json`. Raises as `read_manifest` does."""
    return read_file(run, run / "results.json", list[Record])


def read_record(run: Path, path: Path) -> Record:
    """The record of one cell of a run. Raises as `read_manifest` does."""
    return read_file(run, path, Record)


def checked(run: Path, manifest: Manifest, records: list[Record]) -> list[Record]:
    """The records. Raises UsageError if one is of a kernel that the manifest does not name."""
    named = {entry.name for entry in manifest.kernels}
    for record in records:
        if record.kernel not in named:
            raise _refusal(
                run,
                run,
                f"it has cells of {record.kernel[:64]!r}, a kernel that its manifest does not name",
            )
    return records


def read_origin(run: Path) -> Origin:
    """Which version wrote a run, when the run was finished, and its number, whatever the schema;
    empty or 0 where the manifest does not say.
    """
    try:
        return decode((run / "manifest.json").read_bytes(), Origin)
    except (OSError, Undecodable):
        return Origin()


def read_file(run: Path, path: Path, kind: type[T]) -> T:
    """The value in a file of the run. Raises as `read_manifest` does."""
    content = path.read_bytes()
    if (schema := _other_schema(content)) is not None:
        raise _refusal(run, path, f"its schema is {schema}, and this version reads schema {SCHEMA}")
    try:
        return decode(content, kind)
    except Undecodable as error:
        raise _refusal(run, path, str(error)) from error


def _other_schema(content: bytes) -> int | None:
    """The first schema in the file that this version does not read."""
    try:
        found: _Form | list[_Form] = decode(content, _Form | list[_Form])  # type: ignore[arg-type]
    except Undecodable:
        return None
    forms = found if isinstance(found, list) else [found]
    return next((form.schema for form in forms if form.schema != SCHEMA), None)


def _refusal(run: Path, path: Path, problem: str) -> UsageError:
    wrote = read_origin(run).version
    if wrote == VERSION:
        return UsageError(f"{path} cannot be read: {problem}; restore it from a copy, or remove {run}")
    writer = f"conntrack-matrix {wrote}" if wrote else "a version of conntrack-matrix that it does not name"
    return UsageError(
        f"{path} cannot be read: {problem}; the run was written by {writer}, and this is {VERSION}: read it"
        f" with the version that wrote it, or remove {run}"
    )
