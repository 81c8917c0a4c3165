"""Python imports this module at its start: it lets programs for scapy of 2020 run with today's.

`TunTapInterface.open()` had to be called then; now a new object is open, and the method is gone.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import sys
from collections.abc import Sequence
from types import ModuleType

_NAME = "scapy.layers.tuntap"


class _Loader(importlib.abc.Loader):
    """Loads a module as another loader does, and adds the method to its class."""

    def __init__(self, loader: importlib.abc.Loader) -> None:
        self._loader = loader

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        """The module of the other loader."""
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        """Runs the module, then adds `open` unless this scapy has it."""
        self._loader.exec_module(module)
        interface = module.TunTapInterface
        if not hasattr(interface, "open"):
            interface.open = lambda self: self


class _Finder(importlib.abc.MetaPathFinder):
    """Finds scapy's module for tun and tap interfaces, and no other."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """The spec of scapy's module, with the loader above."""
        if fullname != _NAME:
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        if spec and spec.loader:
            spec.loader = _Loader(spec.loader)
        return spec


sys.meta_path.insert(0, _Finder())
