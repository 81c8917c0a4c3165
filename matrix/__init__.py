"""From a plan to tables. Knows nothing of QEMU."""

VERSION = "0.1.0"
"""This version of conntrack-matrix, as in pyproject.toml; each run's manifest records it."""
