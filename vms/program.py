"""Where this program's own files are, where its user works, and how it is called."""

from __future__ import annotations

from pathlib import Path

CODE = Path(__file__).parents[1]
"""The directory that holds our packages and the files that they need, such as
`debian-packages.txt`: a checkout, or the installed package `conntrack_matrix`.
"""
INSTALLED = (CODE / "__init__.py").is_file()
"""Whether this runs from an installed wheel: a checkout's top directory is no package."""
WORK = Path.cwd() if INSTALLED else CODE
"""The directory whose `matrix.toml`, own experiments, lock, baseline and `results/` are used."""
COMMAND = "conntrack-matrix" if INSTALLED else "./invoke"
"""What the user types to run a task, for messages and reports."""
