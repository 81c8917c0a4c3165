"""Tasks about kernels and the cache."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING, Any

from invoke.context import Context
from invoke.tasks import task

from commands.shell import LOCK, ROOT, complain, print_json, print_table, reported

if TYPE_CHECKING:
    from vms.prune import Held

# Each task imports what it needs, so that listing the tasks does not load every library.


@task(
    help={"json": "print them as JSON", "offline": "use the package lists in the cache, whatever their age"}
)
@reported
def kernels(_context: Context, json: bool = False, offline: bool = False) -> None:
    """List every kernel of the configured suites; "gone" marks builds no longer in the archive."""
    from matrix.plan.project import Project
    from vms.kernels.fetch import cached

    project = Project.open(ROOT, offline=offline)
    cache, catalogue = project.cache, project.builds
    newest = {catalogue.newest(kernel.series, kernel.flavour) for kernel in catalogue.kernels}
    listed: list[dict[str, Any]] = [
        {
            "series": kernel.series,
            "release": kernel.release,
            "flavour": kernel.flavour,
            "version": kernel.version,
            "suite": kernel.suite,
            "size": kernel.size,
            "cached": cached(kernel, cache),
            "gone": kernel.id in catalogue.gone and not cached(kernel, cache),
            "newest": kernel in newest,
            "id": kernel.id,
        }
        for kernel in catalogue.kernels
    ]
    if json:
        print_json(listed)
        return
    columns = ["series", "release", "flavour", "package version", "suite", "MB", "cached", "newest of series"]
    rows = [
        [
            k["series"],
            k["release"],
            k["flavour"],
            k["version"],
            k["suite"],
            f"{k['size'] / 1e6:.0f}",
            "gone" if k["gone"] else _tick(k["cached"]),
            _tick(k["newest"]),
        ]
        for k in listed
    ]
    print_table(columns, rows, right=("MB",))


@task(
    help={
        "upgrade": "lock the newest build of every kernel again",
        "offline": "use the package lists in the cache, whatever their age",
    }
)
@reported
def lock(_context: Context, upgrade: bool = False, offline: bool = False) -> None:
    """Write matrix.lock: the exact packages of the kernels in matrix.toml, with sha256."""
    from matrix.plan.project import Project
    from vms.kernels import lock as locks

    project = Project.open(ROOT, offline=offline, max_age=0)
    old = locks.read(LOCK) if LOCK.exists() and not upgrade else None
    specs = project.specs()
    new = [spec for spec in specs if old is None or spec.text not in old.specs]
    selection = project.select(new)
    made = locks.make(specs, selection.catalogue, ROOT, old)
    locks.write(made, LOCK)
    if selection.warning:
        complain(selection.warning)
    gone = selection.catalogue.gone if offline else project.find_gone(selection.kernels)
    for kernel in selection.kernels:
        if kernel.id in gone:
            complain(
                f"locked, but gone from its archive: {kernel.version}; a run with --locked cannot fetch it"
            )
    print_table(
        ["spec", "kernel", "package version"],
        [[entry.spec, k.name, k.version] for entry in made.locked for k in entry.kernels],
    )
    print(LOCK)


@task(help={"json": "print it as JSON"})
@reported
def cache(_context: Context, json: bool = False) -> None:
    """List the entries of the cache, the least recently used first."""
    from vms.cache import Cache
    from vms.prune import held

    entries = held(Cache.default())
    if json:
        print_json(entries)
        return
    _print_held(entries)
    print(f"{sum(entry.size for entry in entries) / 1e9:.1f} GB in {Cache.default().root}")


@task(help={"keep": "the size to shrink the cache to, for example 20GB"})
@reported
def prune(_context: Context, keep: str = "20GB") -> int:
    """Remove damaged entries from the cache, then the least recently used; never one in use."""
    from vms.cache import Cache
    from vms.errors import HostError
    from vms.prune import parse_size
    from vms.prune import prune as pruned

    done = pruned(Cache.default(), parse_size(keep))
    _print_held(done.removed)
    for failure in done.failed:
        complain(failure)
    print(
        f"removed {sum(entry.size for entry in done.removed) / 1e9:.1f} GB,"
        f" {sum(entry.size for entry in done.held) / 1e9:.1f} GB are left"
    )
    return HostError.exit_code if done.failed else 0


def _print_held(entries: Iterable[Held]) -> None:
    rows = [
        [
            e.kind,
            e.what,
            f"{e.size / 1e6:.0f}",
            f"{datetime.fromtimestamp(e.used):%Y-%m-%d %H:%M}",
            _tick(e.in_use),
        ]
        for e in entries
    ]
    print_table(["kind", "what", "MB", "last used", "in use"], rows, right=("MB",))


def _tick(yes: object) -> str:
    return "yes" if yes else ""
