"""What is known of kernels' answers, to tell a surprise from what was to be expected."""

from __future__ import annotations

from collections import defaultdict

from matrix.analysis.compare import Change, comparable, differences
from matrix.analysis.ledger.explain import Verdict, explain_change
from matrix.analysis.ledger.model import Ledger
from matrix.results.latest import LatestAnswers
from matrix.results.record import Record, Status
from vms.kernels.kernel import Build
from vms.kernels.order import build_key


class Known:
    """The answers of earlier runs, and those of this run that count already."""

    def __init__(self, answers: LatestAnswers, ledger: Ledger) -> None:
        self._ledger = ledger
        self._builds: dict[str, Build] = dict(answers.kernels)
        self._records: defaultdict[tuple[str, str], dict[str, Record]] = defaultdict(dict)
        for (kernel, experiment, variant), answer in answers.answers.items():
            if comparable(answer.record):
                self._records[experiment, variant][kernel] = answer.record

    def expects(self, kernel: Build, record: Record) -> bool:
        """Whether the cell passed with the facts that are known of this very build; or, if none
        are, whether the ledger explains all that differs from the nearest build with an answer.
        """
        if record.status is not Status.PASS:
            return False
        about = self._records.get(record.question, {})
        if kernel.id in about:
            return about[kernel.id].same_answer(record, reason=False)
        neighbour = self._neighbour(kernel, about)
        return neighbour is not None and all(
            explain_change(
                self._ledger, Change(about[neighbour.id], record, difference), neighbour, kernel
            ).verdict
            is Verdict.EXPLAINED
            for difference in differences(about[neighbour.id], record)
        )

    def learn(self, kernel: Build, record: Record) -> None:
        """Adds an answer that counts."""
        if comparable(record):
            self._builds[kernel.id] = kernel
            self._records[record.question][kernel.id] = record

    def _neighbour(self, kernel: Build, about: dict[str, Record]) -> Build | None:
        """The newest older build with an answer to the same question, else the oldest newer one."""
        builds = sorted((self._builds[key] for key in about), key=build_key)
        older = [build for build in builds if build_key(build) <= build_key(kernel)]
        return older[-1] if older else next(iter(builds), None)
