"""Extends the record: asks one build after the other what the record lacks of it, and publishes the
answers of each.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from guest.catalogue import Experiment
from matrix.analysis.beside import Beside, changed, nearest
from matrix.analysis.extended import Step
from matrix.analysis.ledger.model import Ledger
from matrix.plan.plan import Choice, Plan, plan_choices, variant_name
from matrix.reference import Builds, added, record_of, split, write_record
from matrix.results.manifest import Manifest
from matrix.results.record import Record, Status
from vms.errors import UsageError
from vms.files import lock_directory
from vms.kernels.kernel import Kernel
from vms.kernels.order import build_key

Ask = Callable[[Plan, Beside], tuple[Manifest, Sequence[Record]]]
"""Runs a plan, or the rest of it; what differs from the builds beside counts only from a guest of
the cell's own.
"""


@dataclass(frozen=True)
class Extension:
    """What the record is made from. `code` has a digest of each experiment
    (`matrix.plan.code.question_digests`).
    """

    reference: Path
    catalogue: Mapping[str, Experiment]
    code: Mapping[str, str]
    ledger: Ledger

    def plans(self, kernels: Iterable[Kernel]) -> list[Plan]:
        """What to ask each build of which the record lacks something, the newest build first.

        Raises UsageError for a kernel that is from no archive.
        """
        builds = record_of(self.reference)
        found = []
        for kernel in sorted(kernels, key=build_key, reverse=True):
            if kernel.scheme != "debian":
                raise UsageError(
                    f"{kernel.name} is from no archive, so nobody else could ask it; the record holds builds"
                    " of the configured suites"
                )
            plan = self._lacking(kernel, builds)
            if plan.cells:
                found.append(plan)
        return found

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keeps other processes from extending the record meanwhile. Raises UsageError if one does
        so already.
        """
        self.reference.mkdir(parents=True, exist_ok=True)
        lock = lock_directory(self.reference)
        if lock is None:
            raise UsageError(f"another process extends {self.reference}; wait until it ends, or end it")
        try:
            yield
        finally:
            os.close(lock)

    def _lacking(self, kernel: Kernel, builds: Builds) -> Plan:
        known = builds.get(kernel.id)
        answered = {
            record.question
            for record in (known.records if known else ())
            if known and known.code.get(record.experiment) == self.code.get(record.experiment)
        }
        choices = [
            Choice(
                one,
                tuple(
                    variant
                    for variant in one.combinations()
                    if (one.name, variant_name(variant)) not in answered
                ),
            )
            for one in self.catalogue.values()
        ]
        return plan_choices([kernel], [choice for choice in choices if choice.variants])

    def steps(
        self, plans: Sequence[Plan], ask: Ask, clock: Callable[[], float] = time.monotonic
    ) -> Iterator[Step]:
        """Asks the builds of these plans; each is published before its step is told.

        Whenever this ends, the record has the builds that were told, and the next call goes on.
        """
        began, cells = clock(), 0
        for number, plan in enumerate(plans, 1):
            (kernel,) = plan.kernels
            begun = clock()
            builds: Builds = record_of(self.reference)
            manifest, records = ask(plan, Beside(kernel, builds.values(), self.code))
            answers = [record for record in records if record.status is not Status.ERROR]
            if answers:
                builds = added(builds, split(manifest, answers, self.code))
                write_record(self.reference, builds, self.catalogue)
            beside = nearest(kernel, builds.values())
            cells += len(plan.cells)
            left = plans[number:]
            yield Step(
                kernel,
                len(plan.cells),
                clock() - begun,
                tuple(record for record in records if record.status is Status.ERROR),
                tuple(record for record in records if record.leak),
                beside.kernel if beside else None,
                changed(builds[kernel.id], beside, self.ledger) if beside and answers else {},
                len(left),
                (clock() - began) / cells * sum(len(one.cells) for one in left),
            )
