"""Tasks that write what others read."""

from __future__ import annotations

from invoke.context import Context
from invoke.tasks import task

from commands.shell import RESULTS, ROOT, reported

# Each task imports what it needs, so that listing the tasks does not load every library.


@task(
    iterable=["run"],
    help={
        "output": "the directory to write, empty, not there yet, or a site that was written before",
        "run": (
            "a run whose answers to add to those of results/reference, a directory under results/"
            " (repeatable: the newest answer counts)"
        ),
    },
)
@reported
def site(_context: Context, run: list[str], output: str = "") -> None:
    """Write all answers on record as a static site.

    It shows what any upgrade changes, each question, build and commit, and works from a disk and
    from any web server.
    """
    from matrix.analysis.ledger.read import read_ledger
    from matrix.plan.project import Project
    from matrix.report.website.contents import read_contents
    from matrix.report.website.files import files
    from matrix.report.website.output import site_directory, write_site
    from matrix.results.directory import find_run
    from vms.errors import UsageError

    if not output:
        raise UsageError("--output is missing; give the directory to write, for example --output site")
    directory = site_directory(output)
    reference = RESULTS / "reference"
    runs = [reference] if (reference / "manifest.json").is_file() else []
    runs += [find_run(RESULTS, name) for name in run]
    if not runs:
        raise UsageError(
            f"there is no record in {reference}; give a run of your own, for example --run latest"
        )
    contents = read_contents(runs, Project.open(ROOT).experiments, read_ledger())
    write_site(directory, files(contents))
    print(directory / "index.html")
