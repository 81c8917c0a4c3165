"""Tasks about kernels and what is kept of them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING, Any

from invoke.context import Context
from invoke.tasks import task

from commands.shell import LOCK, ROOT, complain, print_json, print_table, reported

if TYPE_CHECKING:
    from vms.prune import Held

# What a task needs is imported within it: listing the tasks must not wait for libraries that none
# of them uses.


@task(help={"json": "print them as JSON", "offline": "use the package lists that the cache holds"})
@reported
def kernels(_context: Context, json: bool = False, offline: bool = False) -> None:
    """List every kernel that the configured suites name; a run has found out that some are gone
    from their archive.
    """
    from matrix.plan.config import read_config
    from vms.cache import Cache
    from vms.kernels.catalogue import Catalogue
    from vms.kernels.fetch import cached

    cache = Cache.default()
    catalogue = Catalogue.load(read_config(ROOT / "matrix.toml").debian, cache, offline=offline)
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
        "upgrade": "move every kernel to the newest build that its name now means",
        "offline": "use the package lists that the cache holds",
    }
)
@reported
def lock(_context: Context, upgrade: bool = False, offline: bool = False) -> None:
    """Write to matrix.lock the exact packages, with versions and sha256, that the kernels of
    matrix.toml are.
    """
    from matrix.plan.config import read_config
    from vms.cache import Cache
    from vms.kernels import lock as locks
    from vms.kernels.catalogue import Catalogue
    from vms.kernels.gone import ask_for
    from vms.kernels.resolve import left_out, left_out_text, resolve_all, swept

    config = read_config(ROOT / "matrix.toml")
    old = locks.read(LOCK) if LOCK.exists() and not upgrade else None
    cache = Cache.default()
    builds = Catalogue.load(config.debian, cache, offline=offline, max_age=0)
    specs = [spec for spec in config.kernels if old is None or spec not in old.specs]
    if not offline:
        builds = ask_for(
            (*swept(specs, builds), *resolve_all(specs, builds, ROOT)), builds, config.debian, cache
        )
    made = locks.make(config.kernels, builds, ROOT, old)
    locks.write(made, LOCK)
    chosen = [kernel for entry in made.locked if entry.spec in specs for kernel in entry.kernels]
    if absent := left_out(specs, builds, chosen):
        complain(left_out_text(absent, builds))
    for kernel in chosen:
        if kernel.id in builds.gone:
            complain(
                f"locked, but gone from its archive: {kernel.version}; a run with --locked will not get it"
            )
    print_table(
        ["spec", "kernel", "package version"],
        [[entry.spec, k.name, k.version] for entry in made.locked for k in entry.kernels],
    )
    print(LOCK)


@task(help={"json": "print it as JSON"})
@reported
def cache(_context: Context, json: bool = False) -> None:
    """Show what the cache holds, the longest unused first."""
    from vms.cache import Cache
    from vms.prune import held

    entries = held(Cache.default())
    if json:
        print_json(entries)
        return
    _print_held(entries)
    print(f"{sum(entry.size for entry in entries) / 1e9:.1f} GB in {Cache.default().root}")


@task(help={"keep": "how much may stay, for example 20GB"})
@reported
def prune(_context: Context, keep: str = "20GB") -> None:
    """Remove from the cache what was used longest ago, never what is in use."""
    from vms.cache import Cache
    from vms.prune import parse_size
    from vms.prune import prune as pruned

    done = pruned(Cache.default(), parse_size(keep))
    _print_held(done.removed)
    print(
        f"removed {sum(entry.size for entry in done.removed) / 1e9:.1f} GB,"
        f" {sum(entry.size for entry in done.held) / 1e9:.1f} GB stay"
    )


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
