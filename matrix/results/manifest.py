"""The manifest of a run: enough to repeat the run, or to decide whether it can be continued."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Annotated

import msgspec

from matrix.plan.plan import Plan
from matrix.results.record import SCHEMA
from vms.boot import Boot
from vms.kernels.kernel import Build
from vms.text import shown

_NAME_CHARACTERS = 200

Number = Annotated[int, msgspec.Meta(ge=0, le=1 << 53)]
"""The number of a run; bounded, since other people's manifests are read too."""

Order = tuple[int, str]
"""The number and the start of a run (ISO 8601, UTC), which counts only between runs of one number.
"""


@dataclass(frozen=True)
class Surroundings:
    """What all guests of a run share.

    `image` and `agent` are the sha256s of the userland and of the `guest/` directory that is copied
    into each guest. `why` is the reason for the accelerator; `cpu` is the host's CPU model. With
    the backend `virtme` the userland is the host's: then `image` is a digest of the versions of its
    programs, which `image_packages` has.
    """

    image: str
    agent: str
    qemu: str
    accelerator: str
    why: str
    cpu: str
    image_packages: dict[str, str] = field(default_factory=dict)
    backend: str = "qemu"

    @property
    def userland(self) -> str:
        """Which userland guests had, in words, if it is not an image."""
        versions = ", ".join(f"{name} {version}" for name, version in self.image_packages.items())
        return "" if self.backend == "qemu" else f"this host's, through {self.backend}-ng ({versions})"


@dataclass(frozen=True)
class KernelEntry(Build):
    """One kernel of a run.

    `uname` is its `uname -r`; `sha256` maps file names to digests. Both are empty until the kernel
    is fetched. `seconds` maps each phase (`fetching`, `booting`, `running`) to its duration. `boot`
    is what the kernel reported of itself while its guests booted.
    """

    uname: str = ""
    sha256: dict[str, str] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    boot: Boot = field(default_factory=Boot)


@dataclass(frozen=True)
class Manifest:
    """One run.

    `plan` is a digest of its cells and surroundings. Times are ISO 8601 in UTC; `finished` is empty
    until the run is finished. `left_out` has the package versions of builds in the requested ranges
    that are no longer in their archive. `pristine` names the kernels of which each cell was asked
    in a guest of its own, while guests of the others answered many cells each; None in runs older
    than this field, in which it was so for all. `reused` maps earlier runs to how many of their
    answers this one took over. `number` orders runs whatever the clock says: a run has a larger one
    than all that were known when it was started; 0 in runs that are older than this field, and in
    published ones. `version` is the conntrack-matrix that started the run, empty in runs that are
    older than this field.
    """

    run: str
    plan: str
    started: str
    command: tuple[str, ...]
    jobs: int
    experiments: tuple[str, ...]
    kernels: tuple[KernelEntry, ...]
    surroundings: Surroundings
    finished: str = ""
    left_out: tuple[str, ...] = ()
    reused: dict[str, int] = field(default_factory=dict)
    pristine: tuple[str, ...] | None = None
    version: str = ""
    number: Number = 0
    schema: int = SCHEMA

    def __post_init__(self) -> None:
        """Cleans the name, which databases and reports have. Raises ValueError for a time that is
        none.
        """
        object.__setattr__(self, "run", shown(self.run, _NAME_CHARACTERS))
        datetime.fromisoformat(self.started)

    @property
    def order(self) -> Order:
        """Sorts runs from the oldest to the newest."""
        return self.number, self.started


def plan_digest(plan: Plan, surroundings: Surroundings, pristine: Collection[str] = ()) -> str:
    """A digest that is equal for two runs if each may continue the other.

    `pristine` names kernels as the manifest does.
    """
    shared = (surroundings.image, surroundings.agent, surroundings.qemu, surroundings.accelerator)
    kernels = [[kernel.id, *(package.sha256 for package in kernel.packages)] for kernel in plan.kernels]
    return hashlib.sha256(
        json.dumps([SCHEMA, shared, kernels, [cell.key for cell in plan.cells], sorted(pristine)]).encode()
    ).hexdigest()


def new_manifest(
    plan: Plan,
    surroundings: Surroundings,
    command: tuple[str, ...],
    jobs: int,
    *,
    left_out: tuple[str, ...] = (),
    pristine: Collection[str] | None = (),
    after: int = 0,
) -> Manifest:
    """The manifest of a run of the plan that begins now. `pristine` is None if all kernels are.
    `after` is the largest number of a run that is known.
    """
    began = datetime.now(UTC)
    return Manifest(
        f"{began:%Y%m%d-%H%M%S}",
        plan_digest(plan, surroundings, pristine or ()),
        began.isoformat(timespec="seconds"),
        command,
        jobs,
        tuple(experiment.name for experiment in plan.experiments),
        kernel_entries(plan),
        surroundings,
        left_out=left_out,
        number=after,
        pristine=None if pristine is None else tuple(sorted(pristine)),
    )


def kernel_entries(plan: Plan) -> tuple[KernelEntry, ...]:
    """The manifest entries of the plan's kernels before they are fetched."""
    return tuple(kernel_entry(kernel) for kernel in plan.kernels)


def kernel_entry(build: Build) -> KernelEntry:
    """The entry of a build of which nothing more is known."""
    return msgspec.convert(build, KernelEntry, from_attributes=True)
