"""The configuration file `matrix.toml`."""

from __future__ import annotations

import dataclasses
import os
import re
import tomllib
import typing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from vms.errors import UsageError
from vms.program import CODE
from vms.prune import parse_size
from vms.settings import Debian
from vms.suggest import suggestion

FILE = "matrix.toml"
DEFAULT_KERNELS = ("5.10", "6.1", "6.12", "6.18", "7.2", "7.3")
_PACKAGE = re.compile(r"[a-z0-9][a-z0-9+.-]{1,100}", re.ASCII)  # Debian Policy, 5.6.1


@dataclass(frozen=True)
class CacheConfig:
    """How large the cache may grow.

    If it exceeds `keep`, a size such as 20GB, a run ends by removing the least recently used
    templates.
    """

    keep: str = "20GB"

    def __post_init__(self) -> None:
        try:
            parse_size(self.keep)
        except UsageError as error:
            raise ValueError(f"keep = {error}") from error

    @property
    def size(self) -> int:
        """`keep` in bytes."""
        return parse_size(self.keep)


@dataclass(frozen=True)
class ImageConfig:
    """Debian packages that every guest has besides the usual ones."""

    packages: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in self.packages:
            if not _PACKAGE.fullmatch(name):
                raise ValueError(f"packages: {name!r} cannot be a Debian package's name")

    @property
    def more(self) -> tuple[str, ...]:
        """The packages in an order of their own, so that the file's makes no other image."""
        return tuple(sorted(set(self.packages)))


@dataclass(frozen=True)
class Config:
    """The default matrix: kernel specs, globs of experiments, and the archives that kernels come
    from.

    `own_experiments` is a directory with experiments of the user's own, relative to the file; empty
    means none. `history` is the URL of the PostgreSQL that several machines record their runs in;
    empty means a file of this checkout's.
    """

    kernels: tuple[str, ...] = DEFAULT_KERNELS
    experiments: tuple[str, ...] = ("*",)
    own_experiments: str = ""
    history: str = ""
    cache: CacheConfig = dataclasses.field(default_factory=CacheConfig)
    image: ImageConfig = dataclasses.field(default_factory=ImageConfig)
    debian: Debian = dataclasses.field(default_factory=Debian)


def config_of(directory: Path) -> Path:
    """The configuration file of a directory: its matrix.toml, or without one the project's own."""
    own = directory / FILE
    return own if os.path.lexists(own) else CODE / FILE


def read_config(path: Path) -> Config:
    """Reads the configuration file.

    Raises UsageError that names file, line and field of what is wrong.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not UTF-8 text: {error.reason} at byte {error.start}") from error
    try:
        raw = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path} is not valid TOML: {error}") from error
    _refuse_unknown(raw, Config, (), path, text)
    try:
        return msgspec.convert(raw, Config)
    except msgspec.ValidationError as error:
        message, _, where = str(error).partition(" - at `$.")
        keys = _keys(where.rstrip("`"))
        raise UsageError(f"{_place(path, text, keys)}: {message[:1].lower()}{message[1:]}") from error


Keys = tuple[str | int, ...]


def _keys(path: str) -> Keys:
    """msgspec's `debian.suites[1].suite` as ("debian", "suites", 1, "suite")."""
    return tuple(int(word) if word.isdigit() else word for word in re.findall(r"[^.\[\]]+", path))


def _place(path: Path, text: str, keys: Keys) -> str:
    field = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in keys).lstrip(".")
    line = _line(text, keys)
    return f"{path}, line {line}, `{field}`" if line else f"{path}, `{field}`"


def _line(text: str, keys: Keys) -> int:
    """The line on which the field's last name is written, found by searching name by name from the
    top; 0 if it is not found.

    TOML has several ways to write one thing, so this finds the line a reader would look at; it is
    no parser. An index n skips n further lines that look like the start of an element.
    """
    lines = text.splitlines()
    at = 0
    found = 0
    last = ""
    for key in keys:
        if isinstance(key, int):
            header = re.compile(rf"^\s*\[\[.*\b{re.escape(last)}\]\]")
            element = header if any(header.match(line) for line in lines) else re.compile(r"^\s*[{\"'\d]")
            starts = [number for number, line in enumerate(lines) if number >= at and element.match(line)]
            at = starts[key] if key < len(starts) else at
        else:
            name = re.compile(
                rf"^\s*(\[+[^\]]*)?\b{re.escape(key)}\b[\w.]*\s*(=|\])|[{{,]\s*{re.escape(key)}\s*="
            )
            at = next((number for number, line in enumerate(lines) if number >= at and name.search(line)), at)
            last = key
        found = at + 1
    return found


def _refuse_unknown(raw: Any, kind: Any, keys: Keys, path: Path, text: str) -> None:
    """Raises UsageError for an unknown field. If misspelt fields were ignored, their defaults would
    be used silently.
    """
    if typing.get_origin(kind) is tuple and isinstance(raw, list):
        for number, item in enumerate(raw):
            _refuse_unknown(item, typing.get_args(kind)[0], (*keys, number), path, text)
    if not dataclasses.is_dataclass(kind) or not isinstance(raw, dict):
        return
    types = typing.get_type_hints(kind)
    for key, value in raw.items():
        if key not in types:
            raise UsageError(f"{_place(path, text, (*keys, key))}: unknown field; {suggestion(key, types)}")
        _refuse_unknown(value, types[key], (*keys, key), path, text)
