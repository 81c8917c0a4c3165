"""Selects the kernels of a run from parsed specs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from vms.errors import UsageError
from vms.kernels.catalogue import Catalogue
from vms.kernels.kernel import Kernel
from vms.kernels.resolve import gone_text, is_range, own_name, resolve, unique
from vms.kernels.spec import Spec

FindGone = Callable[[Sequence[Kernel]], frozenset[str]]
"""Returns the ids of all builds known to be gone from their archive, after asking it about
these.
"""


@dataclass(frozen=True)
class Selection:
    """What specs mean now: the kernels in kernel order and with unique names, and the builds of
    ranges that are gone from their archive.

    `catalogue` knows which builds are gone, as far as an archive was asked.
    """

    kernels: tuple[Kernel, ...]
    catalogue: Catalogue
    gone: tuple[Kernel, ...] = ()

    @property
    def gone_versions(self) -> tuple[str, ...]:
        """The package versions of the builds that are gone."""
        return tuple(kernel.version for kernel in self.gone)

    @property
    def warning(self) -> str:
        """One line about the builds that are gone, empty if there are none."""
        return f"skipped {gone_text(self.gone, self.catalogue)}" if self.gone else ""


def select(
    specs: Sequence[Spec], catalogue: Catalogue, base: Path, find_gone: FindGone | None = None
) -> Selection:
    """The kernels that the specs mean together, each once.

    Paths in specs are relative to `base`. A range skips builds that are gone from their
    archive, while a build that a spec names, or that is the newest of a series it names, is
    selected in any case: fetching it says what is wrong. Without `find_gone` no archive is asked,
    and what `catalogue` knows counts.

    Raises UsageError for a spec that means nothing, or whose files are not what it says.
    """
    within = _within_ranges(specs, catalogue)
    if find_gone:
        catalogue = replace(catalogue, gone=find_gone(within))
    kernels = unique(kernel for spec in specs for kernel in resolve(spec, catalogue, base))
    ids = {kernel.id for kernel in kernels}
    gone = tuple(kernel for kernel in within if kernel.id in catalogue.gone and kernel.id not in ids)
    return Selection(kernels, catalogue, gone)


def select_existing(specs: Sequence[Spec], catalogue: Catalogue, base: Path) -> tuple[Kernel, ...]:
    """The kernels that the specs mean, without those specs that mean nothing any more, such as
    a locked build that the lists no longer name.
    """
    found: list[Kernel] = []
    for spec in specs:
        with suppress(UsageError):
            found += unique(resolve(spec, catalogue, base))
    return tuple(found)


def _within_ranges(specs: Sequence[Spec], catalogue: Catalogue) -> tuple[Kernel, ...]:
    """The builds of all specs that are ranges, including those that are gone."""
    whole = replace(catalogue, gone=frozenset())
    return unique(
        replace(kernel, name=own_name(kernel))
        for spec in specs
        if is_range(spec.what)
        for kernel in resolve(spec, whole, Path())
    )
