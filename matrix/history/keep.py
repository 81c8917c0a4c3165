"""Records a run that has just ended; a problem with the database does not fail the run."""

from __future__ import annotations

from pathlib import Path

from matrix.history.database import SECONDS, database_url, open_database
from matrix.history.rebuild import record_run
from vms.deadline import Deadline
from vms.errors import MatrixError
from vms.program import COMMAND


def keep(setting: str, results: Path, run: Path) -> str:
    """Records the run in the database that `setting` names; returns a message if that failed, else
    an empty string. The database has a minute, whatever it does.

    The run's own files are complete in any case: `./invoke history --rebuild` records it later.
    """
    try:
        deadline = Deadline(SECONDS, f"recording {run.name}")
        with open_database(database_url(setting, results), deadline) as engine:
            record_run(engine, run)
    except MatrixError as error:
        return f"{run.name} is not in the history: {error}; run `{COMMAND} history --rebuild` to record it"
    return ""
