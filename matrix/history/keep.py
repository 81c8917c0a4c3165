"""Records a run that has just ended, without letting the history's troubles become the run's."""

from __future__ import annotations

from pathlib import Path

from matrix.history.database import database_url, open_database
from matrix.history.rebuild import record_run
from vms.errors import MatrixError


def keep(setting: str, results: Path, run: Path) -> str:
    """Records the run in the database of the setting. Gives what went wrong, in words, or nothing.

    The run's own files are whole whatever happens here, and `./invoke history --rebuild` makes up
    for what was missed.
    """
    try:
        with open_database(database_url(setting, results)) as engine:
            record_run(engine, run)
    except MatrixError as error:
        return f"{run.name} is not in the history: {error}; `./invoke history --rebuild` makes up for it"
    return ""
