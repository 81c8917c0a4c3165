"""Questions to kernels as jobs: each is a process of our own that runs a matrix, with a deadline.
It ends with this process, however that ends.
"""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import IO

from matrix.results.record import Record
from vms.decode import Undecodable, decode
from vms.errors import UsageError
from vms.text import shown
from vms.tool import tied

AT_A_TIME = 2
"""Jobs that may run at once: each has as many guests as there are processors."""
_KEPT = 20  # jobs that can be looked at; the oldest is forgotten
_SECONDS = 3600.0
_END_SECONDS = 30.0  # for a run to end its guests
_MESSAGES, _MESSAGE_BYTES = 8, 2_000
_MOST_BYTES = 16 << 20
_FINDING = 1  # the exit code of a run with something unexpected: it has answers all the same


class State(StrEnum):
    """What became of a job. `late`: its time was up."""

    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    LATE = "late"


@dataclass
class Job:
    """One question, its process, and the last messages that it printed.

    `records` are what the kernel answered, once `ended` is set.
    """

    number: int
    kernel: str
    experiment: str
    process: subprocess.Popen[bytes] | None = None
    began: float = field(default_factory=time.monotonic)
    seconds: float = 0.0
    state: State = State.RUNNING
    messages: deque[str] = field(default_factory=lambda: deque(maxlen=_MESSAGES))
    records: list[Record] = field(default_factory=list)
    ended: threading.Event = field(default_factory=threading.Event)

    @property
    def elapsed(self) -> float:
        """Seconds since it began, or that it took."""
        return self.seconds or time.monotonic() - self.began


class Jobs:
    """The jobs of one server. `program` and `environment` start a task in the directory `place`."""

    def __init__(
        self,
        program: Sequence[str],
        environment: Mapping[str, str],
        place: Path,
        seconds: float = _SECONDS,
    ) -> None:
        self._program = program
        self._environment = environment
        self._place = place
        self._allowed = seconds
        self._jobs: dict[int, Job] = {}
        self._lock = threading.Lock()
        self._number = 0
        self._closed = False

    def start(self, kernel: str, experiment: str) -> Job:
        """Starts to ask the kernel. Raises UsageError while as many jobs run as may."""
        with self._lock:
            running = [job.number for job in self._jobs.values() if not job.ended.is_set()]
            if self._closed or len(running) >= AT_A_TIME:
                raise UsageError(
                    f"{len(running)} jobs are running, which is as many as may: wait for one of"
                    f" {', '.join(map(str, running))} with the tool `job`"
                )
            self._number += 1
            job = Job(self._number, kernel, experiment)
            self._jobs[job.number] = job
            while len(self._jobs) > _KEPT:
                del self._jobs[min(self._jobs)]
        # A process is killed with the thread that started it, which therefore waits for its end.
        threading.Thread(target=self._run, args=[job], daemon=True).start()
        return job

    def find(self, number: int) -> Job:
        """The job of this number. Raises UsageError if there is none."""
        with self._lock:
            if job := self._jobs.get(number):
                return job
            known = ", ".join(map(str, self._jobs)) or "none"
        raise UsageError(f"there is no job {number}; the jobs are: {known}")

    def close(self) -> None:
        """Ends all jobs and waits until they have ended."""
        with self._lock:
            self._closed = True
            jobs = list(self._jobs.values())
        for job in jobs:
            _end(job)
        for job in jobs:
            job.ended.wait(_END_SECONDS)

    def _run(self, job: Job) -> None:
        words = ["matrix", f"--kernel={job.kernel}", f"--experiment={job.experiment}", "--json"]
        try:
            with tempfile.TemporaryFile() as printed:
                job.process = subprocess.Popen(
                    tied([*self._program, *words]),
                    stdin=subprocess.DEVNULL,
                    stdout=printed,
                    stderr=subprocess.PIPE,
                    env={**os.environ, **self._environment},
                    cwd=self._place,
                    start_new_session=True,
                )
                self._watch(job, job.process)
                printed.seek(0)
                _judge(job, job.process.returncode, printed)
        except OSError as error:
            job.messages.append(shown(f"the job could not be run: {error}"))
            job.state = State.FAILED
        finally:
            job.seconds = time.monotonic() - job.began
            job.ended.set()

    def _watch(self, job: Job, process: subprocess.Popen[bytes]) -> None:
        """Reads what the process reports until it ends, at the latest when its time is up."""

        def too_late() -> None:
            job.state = State.LATE
            _end(job)

        timer = threading.Timer(self._allowed, too_late)
        timer.daemon = True
        timer.start()
        assert process.stderr
        with process.stderr:
            if self._closed:
                _end(job)
            while line := process.stderr.readline(_MESSAGE_BYTES):
                if text := line.decode(errors="replace").strip():
                    job.messages.append(shown(text))
        process.wait()
        timer.cancel()


def _end(job: Job) -> None:
    """Asks the job's process to end, as a signal ends any run, and kills it if it does not."""
    if not job.process or job.process.poll() is not None:
        return
    job.process.terminate()
    killer = threading.Timer(_END_SECONDS, _kill, [job.process])
    killer.daemon = True
    killer.start()


def _kill(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)


def _judge(job: Job, code: int, printed: IO[bytes]) -> None:
    try:
        job.records = decode(printed.read(_MOST_BYTES) or b"[]", list[Record])
    except Undecodable as error:
        job.messages.append(shown(f"the answer cannot be read: {error}"))
    if job.state is not State.LATE:
        job.state = State.DONE if job.records and code in (0, _FINDING) else State.FAILED
