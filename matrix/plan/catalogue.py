"""The experiments: those of `guest/experiments/` and those in the user's own directory."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping
from pathlib import Path

from guest.catalogue import Experiment, Source, load
from vms.errors import UsageError
from vms.files import write_whole

SKELETON = '''\
"""{title}."""

from __future__ import annotations

from typing import Annotated

from guest.catalogue import SCOPES, Facts, experiment
from guest.lab.lab import Lab
from guest.lab.packets import tcp


class {kind}(Facts):
    """Facts of `{name}`."""

    flows: Annotated[int, "flows in the table after one SYN"]


@experiment(variants={{"scope": SCOPES}})
def {function}(lab: Lab) -> {kind}:
    """What does the kernel do with one SYN?

    One SYN from 198.18.0.2:10000 arrives for 192.0.2.1:80 through a tun, where nobody listens. Say
    here what a reader must know to judge whether the answer applies to them.
    """
    wire = lab.host()
    lab.iptables("""
        *raw
        -A PREROUTING -j CT
        -A OUTPUT -p tcp --sport 80 -j DROP
    """)
    wire.send(tcp("198.18.0.2:10000", "192.0.2.1:80"))
    return {kind}(flows=len(lab.flows()))
'''


def own_directory(setting: str, base: Path) -> Path | None:
    """The directory that `own_experiments` names, relative to `matrix.toml`; None if the setting is
    empty.

    Raises UsageError if it is not a directory.
    """
    if not setting:
        return None
    directory = (base / setting).resolve()
    if not directory.is_dir():
        raise UsageError(
            f"{base / 'matrix.toml'}, `own_experiments`: {directory} is not a directory; create it, or remove"
            " the line"
        )
    return directory


def read_catalogue(own: Path | None) -> dict[str, Experiment]:
    """Every experiment by name.

    Raises UsageError, with file and line, for a module of the user's that cannot be imported.
    """
    try:
        return load(own)
    except Exception as error:
        if refusal := _refusal(error, lambda path: own is not None and path.parent == own):
            raise refusal from error
        raise


def read_source(source: Source) -> dict[str, Experiment]:
    """The experiments of one file by name, in place of those that it had before.

    Raises UsageError, with file and line, if it cannot be imported.
    """
    try:
        return source.load()
    except Exception as error:
        refusal = _refusal(error, lambda path: path == Path(source.file))
        raise refusal or UsageError(f"{source.file}: {type(error).__name__}: {error}") from error


def _refusal(error: Exception, users: Callable[[Path], bool]) -> UsageError | None:
    """The error of an import as a message for the user, if a file of the user's caused it."""
    places = [(frame.filename, frame.lineno) for frame in traceback.extract_tb(error.__traceback__)]
    if isinstance(error, SyntaxError):  # the file was only compiled, so no frame names it
        places.append((error.filename or "", error.lineno))
    for file, line in reversed(places):
        if users(Path(file)):
            return UsageError(f"{file}, line {line}: {type(error).__name__}: {error}")
    return None


def write_skeleton(name: str, catalogue: Mapping[str, Experiment], directory: Path) -> Path:
    """Writes a skeleton that runs as it is, for its author to change.

    Raises UsageError for an invalid name or one that is in use.
    """
    function = name.replace("-", "_")
    if not function.isidentifier() or function != function.lower():
        raise UsageError(
            f"{name!r} cannot be an experiment's name: use lower-case letters, digits and dashes, and begin"
            " with a letter"
        )
    path = directory / f"{function}.py"
    if name in catalogue or path.exists():
        raise UsageError(
            f"an experiment {name} exists already" if name in catalogue else f"{path} exists already"
        )
    title = name.replace("-", " ").capitalize()
    kind = "".join(word.capitalize() for word in function.split("_"))
    text = SKELETON.format(title=title, name=name, kind=kind, function=function)
    write_whole(path, text.encode())
    return path
