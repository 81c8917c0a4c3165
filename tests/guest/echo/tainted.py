"""The same agent in a kernel that is tainted, as by a warning."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

Path("/proc/sys/kernel/tainted").write_text("512")
import_module("echo.agent")
