"""Digests of the code that determines what an experiment answers.

An answer holds as long as this code, the kernel, the image and the emulated machine are the same:
then asking again gives the same answer, and an earlier one can be used instead.
"""

from __future__ import annotations

import ast
import hashlib
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from guest.catalogue import Experiment
from vms.program import CODE

_EXPERIMENTS = CODE / "guest" / "experiments"
_PACKAGE = "guest.experiments"
# What runs in every guest, starts it, and makes a record of its answer. `vms/kernels/` is not among
# them: a kernel is identified by the digests of its packages.
_SHARED = ("guest", "vms", "matrix/run", "matrix/results/judge.py", "matrix/results/record.py")
_DIGITS = 12
_APART = (_EXPERIMENTS, CODE / "vms" / "kernels")


def code_digests(experiments: Mapping[str, Experiment], own: Path | None) -> dict[str, str]:
    """A digest for each experiment that changes with any code that could change its answers.

    It covers the experiment's module, and all experiments if that imports others of them; for one
    of the user's own all files in their directory `own`. Experiments that are defined elsewhere
    have no digest.
    """
    shared = _digest(
        path
        for name in _SHARED
        for path in _files(CODE / name)
        if not any(path.is_relative_to(apart) for apart in _APART)
    )
    modules: dict[str, str] = {}
    for module in {experiment.module for experiment in experiments.values()}:
        file = getattr(sys.modules.get(module), "__file__", None)
        if file and (own or Path(file).parent == _EXPERIMENTS):
            modules[module] = f"{shared} {_digest(_sources(Path(file), own))}"
    return {
        name: hashlib.sha256(modules[experiment.module].encode()).hexdigest()
        for name, experiment in experiments.items()
        if experiment.module in modules
    }


def question_digests(experiments: Mapping[str, Experiment]) -> dict[str, str]:
    """A digest for each built-in experiment that changes when the experiment is rewritten.

    It covers the code of the experiment and what that uses of its module. Comments, docstrings and
    layout do not count, nor does what all experiments share: that is changed by people who see to
    it that answers stay.
    """
    modules: dict[str, Mapping[str, ast.stmt]] = {}
    found = {}
    for one in experiments.values():
        file = getattr(sys.modules.get(one.module), "__file__", None)
        if file and Path(file).parent == _EXPERIMENTS:
            if one.module not in modules:
                modules[one.module] = _definitions(_bare(ast.parse(Path(file).read_bytes())))
            found[one.name] = _own_digest(modules[one.module], one.name.replace("-", "_"))
    return found


def _own_digest(module: Mapping[str, ast.stmt], name: str) -> str:
    """A digest of what the module defines by this name, and of what that uses of the module."""
    used: dict[str, str] = {}
    left = [name]
    while left:
        name = left.pop()
        if name in module and name not in used:
            used[name] = ast.dump(module[name])
            left += [node.id for node in ast.walk(module[name]) if isinstance(node, ast.Name)]
    return hashlib.sha256("\n".join(used[name] for name in sorted(used)).encode()).hexdigest()[:_DIGITS]


def _definitions(module: ast.Module) -> Mapping[str, ast.stmt]:
    """What defines each name of the module: a function, a class, an assignment, or an import of
    that name alone.
    """
    found: dict[str, ast.stmt] = {}
    for node in module.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found[node.name] = node
        elif isinstance(node, ast.Import | ast.ImportFrom):
            for alias in node.names:
                found[alias.asname or alias.name] = _of_one_name(node, alias)
        else:
            names = (part for part in ast.walk(node) if isinstance(part, ast.Name))
            found |= {part.id: node for part in names if isinstance(part.ctx, ast.Store)}
    return found


def _of_one_name(node: ast.Import | ast.ImportFrom, alias: ast.alias) -> ast.stmt:
    if isinstance(node, ast.Import):
        return ast.Import([alias])
    return ast.ImportFrom(node.module, [alias], node.level)


def _bare(module: ast.Module) -> ast.Module:
    """The module without docstrings."""
    for node in ast.walk(module):
        if isinstance(node, ast.Module | ast.FunctionDef | ast.ClassDef) and ast.get_docstring(
            node, clean=False
        ):
            del node.body[0]
    return module


def _sources(module: Path, own: Path | None) -> Iterable[Path]:
    builtin = module.parent == _EXPERIMENTS
    if builtin and not _imports_experiments(module):
        return [module]
    return [*(_files(_EXPERIMENTS)), *(_files(own) if own else ())] if builtin else _files(module.parent)


def _imports_experiments(module: Path) -> bool:
    for node in ast.walk(ast.parse(module.read_bytes())):
        if isinstance(node, ast.ImportFrom) and (node.level or (node.module or "").startswith(_PACKAGE)):
            return True
        if isinstance(node, ast.Import) and any(name.name.startswith(_PACKAGE) for name in node.names):
            return True
    return False


def _files(path: Path) -> list[Path]:
    found = sorted(path.rglob("*")) if path.is_dir() else [path]
    return [file for file in found if file.is_file() and "__pycache__" not in file.parts]


def _digest(files: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    for path in files:
        content = path.read_bytes()
        digest.update(f"\n{path.name} {len(content)}\n".encode() + content)
    return digest.hexdigest()
