"""A client of a Dask scheduler that can always be closed. Imported only by runs on workers: Dask's
import takes a while.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from distributed import Client


class SchedulerClient(Client):  # type: ignore[misc]  # Dask has no types
    """Dask's client, which also ends while it tries to reach a scheduler that is gone."""

    def close(self, *arguments: Any, **named: Any) -> Any:
        """Closes the connection, as Dask's own does.

        What ended an attempt to connect again comes out of that one, each time: also when the
        client is freed.
        """
        with suppress(OSError, ValueError):
            return super().close(*arguments, **named)
