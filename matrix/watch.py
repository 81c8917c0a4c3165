"""Asks experiments again whenever their file is saved, to see what changed since the last time."""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Generator, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, field
from pathlib import Path

from guest.catalogue import Source
from matrix.plan.catalogue import read_source
from matrix.plan.plan import Cell, Choice, plan_choices
from matrix.plan.selection import choose
from matrix.results.judge import Outcome, verdict
from matrix.results.record import FactValue, Record
from matrix.run.cell import Question, ask
from matrix.run.executor import Executor
from matrix.run.guests import Guests, Template
from matrix.run.idle import idle
from vms.errors import MatrixError, UsageError
from vms.hardware import Hardware
from vms.kernels.kernel import Kernel

Key = tuple[str, str, str]

_LOOK_SECONDS = 0.1
_KEEP_SECONDS = 3600.0  # a guest waits that long for the file to be saved
_MOST_SOURCE = 512 << 10  # the agent takes no longer line than 1 MiB


@dataclass(frozen=True)
class Watched:
    """What is watched: experiments as the user named them, and the module and file that define
    them.
    """

    texts: tuple[str, ...]
    module: str
    file: Path

    @classmethod
    def of(cls, texts: Sequence[str], choices: Sequence[Choice]) -> Watched:
        """The file of the chosen experiments. Raises UsageError if they are in more than one."""
        modules = sorted({choice.experiment.module for choice in choices})
        files = [Path(str(sys.modules[module].__file__)) for module in modules]
        if len(files) > 1:
            names = ", ".join(file.name for file in files)
            raise UsageError(f"{' '.join(texts)}: these are in several files ({names}); watch one")
        return cls(tuple(texts), modules[0], files[0])


@dataclass(frozen=True)
class Turn:
    """The answers of one time: records by cell, in the order of tables, and the facts that each
    cell had the last time it had any. `seconds` is how long it took. With a `complaint` nothing was
    asked.
    """

    number: int
    seconds: float = 0.0
    records: Mapping[Key, Record] = field(default_factory=dict)
    before: Mapping[Key, Mapping[str, FactValue]] = field(default_factory=dict)
    complaint: str = ""


class Watch:
    """Asks watched experiments of kernels. Guests that are as their templates were wait for the
    next turn.
    """

    def __init__(self, watched: Watched, kernels: Sequence[Kernel], guests: Guests, jobs: int) -> None:
        self._watched = watched
        self._kernels = kernels
        self._guests = guests
        self._executor: Executor = guests.executor(jobs)
        self._templates: dict[tuple[str, Hardware], Template] = {}
        self._facts: dict[Key, Mapping[str, FactValue]] = {}
        self._asking: set[Future[Outcome]] = set()

    def turns(self) -> Generator[Turn]:
        """One turn now, and another each time that the file was saved. A file that cannot be read
        makes a turn with a complaint. Ends all guests when it is closed or interrupted.
        """
        idle.keep(_KEEP_SECONDS)
        number = 0
        try:
            for text in saved(self._watched.file):
                number += 1
                try:
                    yield self._turn(number, text)
                except UsageError as error:
                    yield Turn(number, complaint=str(error))
        finally:
            if self._asking:
                self._executor.stop(self._asking)
            self._executor.close()

    def _turn(self, number: int, text: str) -> Turn:
        if len(text) > _MOST_SOURCE:
            raise UsageError(f"{self._watched.file}: it is longer than {_MOST_SOURCE >> 10} KiB")
        source = Source(self._watched.module, str(self._watched.file), text)
        choices = choose(self._watched.texts, read_source(source))
        plan = plan_choices(self._kernels, choices)
        began = time.monotonic()
        asked = self._ask_all(plan.cells, source)
        seconds = time.monotonic() - began
        records = {cell.key: asked[cell.key] for cell in plan.cells}
        before = dict(self._facts)
        self._facts.update({key: record.facts for key, record in records.items() if record.facts})
        return Turn(number, seconds, records, before)

    def _ask_all(self, cells: Sequence[Cell], source: Source) -> dict[Key, Record]:
        waiting, cell_of = deque(cells), dict[Future[Outcome], Cell]()
        records = {}
        while waiting or self._asking:
            while waiting and self._executor.room(len(self._asking), 0, waits=False):
                cell = waiting.popleft()
                future = self._executor.work(self._ask, cell, source)
                self._asking.add(future)
                cell_of[future] = cell
            done, _ = wait(self._asking, return_when=FIRST_COMPLETED)
            self._asking -= done
            for future in done:
                cell = cell_of[future]
                records[cell.key] = verdict(cell, future.result(), 1).record
        return records

    def _ask(self, cell: Cell, source: Source) -> Outcome:
        try:
            return ask(self._template(cell), Question.of(cell, own=False, source=source))
        except MatrixError as error:
            return Outcome(lost=str(error))

    def _template(self, cell: Cell) -> Template:
        key = cell.kernel.name, cell.hardware
        if key not in self._templates:
            self._templates[key] = self._guests.template(self._guests.fetch(cell.kernel), cell.hardware)
        return self._templates[key]


def saved(file: Path) -> Iterator[str]:
    """What the file holds, now and each time that it was saved; while it is gone, as an editor may
    have it for a moment, it is waited for. Raises UsageError if it cannot be read at first.
    """
    seen: object = None
    while True:
        state = _state(file)
        if state is None and seen is None:
            raise UsageError(f"{file}: there is no such file any more")
        if state not in (None, seen):
            time.sleep(_LOOK_SECONDS)
            if _state(file) != state:  # it is still being written
                continue
            try:
                text = file.read_text(encoding="utf-8", errors="replace")
            except OSError as error:
                raise UsageError(f"{file}: {error.strerror}") from error
            seen = state
            yield text
        time.sleep(_LOOK_SECONDS)


def _state(file: Path) -> tuple[int, int, int] | None:
    """Changes when the file is saved; None if there is none."""
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns
