"""The checkout that is tested, and its default configuration."""

from __future__ import annotations

from pathlib import Path

from matrix.plan.config import read_config

ROOT = Path(__file__).parents[2]
CONFIG = read_config(ROOT / "matrix.toml")
