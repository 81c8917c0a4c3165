"""Asks a kernel one experiment as a job, and tells how far that is."""

from __future__ import annotations

from matrix.agents import requests
from matrix.agents.answers import JobLine, cell_line, page
from matrix.agents.jobs import Job, Jobs
from matrix.agents.reading import Reader
from matrix.plan.plan import variant_name
from matrix.plan.selection import choose
from vms.errors import UsageError
from vms.kernels.spec import Builds, Word, parse

_MOST_CELLS = 64


def ask(reader: Reader, jobs: Jobs, asked: requests.Ask) -> JobLine:
    """Starts the job. Raises UsageError for what is not one kernel of the archive and one
    experiment, and while too many jobs run.
    """
    what = parse(asked.kernel, "kernel").what
    one = isinstance(what, Builds) and what.low == what.high and not what.low.every
    if not (one or (isinstance(what, Word) and what.word == "newest")):
        raise UsageError(
            f"kernel: {asked.kernel!r} is not one kernel of Debian's archive; give for example 6.12,"
            " 6.12.118 or newest"
        )
    choices = choose([asked.experiment], reader.project.experiments)
    cells = sum(len(choice.variants) for choice in choices)
    if len(choices) > 1 or cells > _MOST_CELLS:
        raise UsageError(
            f"experiment: {asked.experiment!r} names {len(choices)} experiments with {cells} variants; ask"
            f" one with at most {_MOST_CELLS}"
        )
    return _line(jobs.start(asked.kernel, asked.experiment))


def look(jobs: Jobs, asked: requests.Job) -> JobLine:
    """The job as it is now, or when it ends within the seconds to wait."""
    job = jobs.find(asked.job)
    job.ended.wait(asked.wait)
    line = _line(job)
    if not job.records:
        return line
    cells = [cell_line(record, variant_name(record.variant)) for record in job.records]
    return JobLine(
        line.job,
        line.kernel,
        line.experiment,
        line.state,
        line.seconds,
        line.messages,
        page(cells, asked.offset, asked.limit),
    )


def _line(job: Job) -> JobLine:
    return JobLine(
        job.number, job.kernel, job.experiment, job.state.value, round(job.elapsed), tuple(job.messages)
    )
