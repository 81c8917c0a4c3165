"""What a run was made of: enough to repeat it, and to know whether an interrupted one can go on."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field

import msgspec

from matrix.plan.plan import Plan
from matrix.results.record import SCHEMA
from vms.kernels.kernel import Build


@dataclass(frozen=True)
class Surroundings:
    """What all guests of a run share. `why` says why this accelerator was chosen; `cpu` is the
    host's CPU model.

    `image` and `agent` are the sha256s of the userland and of the pushed `guest/` directory.
    """

    image: str
    agent: str
    qemu: str
    accelerator: str
    why: str
    cpu: str
    image_packages: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class KernelEntry(Build):
    """One kernel of a run. `uname` is its `uname -r`; `sha256` maps file names to digests. Both are
    empty until it was fetched.

    `seconds` says how long its phases took: `fetching`, `booting`, `running`.
    """

    uname: str = ""
    sha256: dict[str, str] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Manifest:
    """One run. `plan` digests what it asks of whom; times are ISO 8601 in UTC, `finished` is empty
    until then.

    `left_out` has the package versions of builds that belong to a range of the kernels asked for
    and are gone from their archive. `version` is the conntrack-matrix that started the run; runs
    made before it was recorded have none.
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
    version: str = ""
    schema: int = SCHEMA


def plan_digest(plan: Plan, surroundings: Surroundings) -> str:
    """The same for two runs exactly when cells of one may stand in the other."""
    shared = (surroundings.image, surroundings.agent, surroundings.qemu, surroundings.accelerator)
    kernels = [[kernel.id, *(package.sha256 for package in kernel.packages)] for kernel in plan.kernels]
    return hashlib.sha256(
        json.dumps([SCHEMA, shared, kernels, [cell.key for cell in plan.cells]]).encode()
    ).hexdigest()


def kernel_entries(plan: Plan) -> tuple[KernelEntry, ...]:
    """The plan's kernels, nothing of which was fetched yet."""
    return tuple(kernel_entry(kernel) for kernel in plan.kernels)


def kernel_entry(build: Build) -> KernelEntry:
    """The entry of a build of which nothing more is known."""
    return msgspec.convert(build, KernelEntry, from_attributes=True)
