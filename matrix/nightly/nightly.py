"""One night: run what is new and a sample, compare with the accepted baseline, say in ten lines
what somebody has to look at.
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

from guest.catalogue import Experiment
from matrix.analysis.ledger.model import Ledger
from matrix.analysis.table import variants_label
from matrix.baseline.baseline import Baseline
from matrix.baseline.deviations import Explanation, Failure, News, Standing, Verdict, explanation, standing
from matrix.baseline.outcome import FailedCell, Item, Night
from matrix.invocation import run_matrix
from matrix.nightly.sample import choose, only
from matrix.plan.plan import Plan, variant_name
from matrix.report.text.night import junit_with_news
from matrix.report.write import write_reports
from matrix.results.directory import json_bytes
from matrix.results.latest import Key, LatestAnswers, read_finished, read_latest
from matrix.results.manifest import Manifest
from matrix.results.record import Record, Status
from matrix.results.unstable import mark_unstable
from matrix.run.guests import Guests
from matrix.run.progress import Display
from vms.files import write_whole


@dataclass(frozen=True)
class Workshop:
    """What a night works with. `since_lock` names kernels that `matrix.lock` does not hold; if it
    is `locked` the plan has none of them.

    `left_out` has the builds of ranges that are gone from their archive.
    """

    plan: Plan
    catalogue: Mapping[str, Experiment]
    guests: Guests
    results: Path
    jobs: int
    command: tuple[str, ...]
    display: Display
    since_lock: tuple[str, ...] = ()
    locked: bool = False
    left_out: tuple[str, ...] = ()


def nightly(shop: Workshop, baseline: Baseline, ledger: Ledger, today: date) -> Night:
    """Runs the night. `today` (UTC) decides whose turn it is in the sample.

    Every change and failure is asked for a second time before it counts: what disagrees with itself
    is `unstable`.
    """
    begun = time.monotonic()
    before = read_latest(shop.results, baseline.known, shop.display.note)
    tonight = choose(shop.plan, before, today)
    old = standing(baseline, before)
    after, path, records = before, None, list[Record]()
    if tonight.plan.cells:
        path, manifest, records = _run(shop, tonight.plan)
        after = before.with_run(manifest, records)
        suspects = _fresh(old, standing(baseline, after))
        disagreeing = _disagreeing(replace(shop, results=path / "again"), tonight.plan, after, suspects)
        if disagreeing:
            records = mark_unstable(path, disagreeing)
            write_reports(path, manifest, records, shop.catalogue)
            after = before.with_run(manifest, records)
    now = standing(baseline, after)
    fresh = _fresh(old, now)
    items = _items(now.news, ledger, shop.catalogue)
    fresh_items = _items(fresh.news, ledger, shop.catalogue)
    night = Night(
        day=today.isoformat(),
        run=path.name if path else "",
        new_kernels=tuple(kernel.name for kernel in tonight.kernels),
        new_experiments=tonight.experiments,
        sample=tuple(kernel.name for kernel in tonight.sample),
        counts={
            str(status): number for status, number in Counter(record.status for record in records).items()
        },
        news=fresh_items,
        failures=tuple(_failed(failure) for failure in fresh.failures),
        waiting=len(items) - len(fresh_items) + len(now.failures) - len(fresh.failures),
        since_lock=shop.since_lock,
        locked=shop.locked,
        accepted=baseline.acceptances[-1] if baseline.acceptances else None,
        accepted_cells=len(baseline.known.answers),
        seconds=round(time.monotonic() - begun, 1),
        exit_code=_exit_code(items, now, records),
    )
    if path:
        junit = path / "report" / "junit.xml"
        write_whole(junit, junit_with_news(junit.read_bytes(), night))
        # Last: it is the sign that the night is finished and its answers count.
        write_whole(path / "nightly.json", json_bytes(night))
    return night


def _run(shop: Workshop, plan: Plan) -> tuple[Path, Manifest, list[Record]]:
    result = run_matrix(
        plan, shop.catalogue, shop.guests, shop.results, shop.jobs, shop.command, shop.display, shop.left_out
    )
    return result.run, *read_finished(result.run)


def _disagreeing(shop: Workshop, plan: Plan, after: LatestAnswers, suspects: Standing) -> dict[Key, Record]:
    """Asks the cells with news again and gives the other answers of those that answered
    differently.
    """
    wanted = {news.key[0] for news in suspects.news} | {one.key for one in suspects.failures}
    again = only(
        plan, lambda cell: (cell.kernel.id, cell.experiment.name, variant_name(cell.variant)) in wanted
    )
    if not again.cells:
        return {}
    shop.display.note(f"asking {len(again.cells)} cells again that changed or failed")
    _, manifest, records = _run(shop, again)
    second = LatestAnswers().with_run(manifest, records).answers
    return {
        key: answer.record
        for key, answer in second.items()
        if not answer.record.same_answer(after.answers[key].record, reason=False)
    }


def _fresh(old: Standing, now: Standing) -> Standing:
    """What stands now and did not before."""
    news = {(one.key, one.earlier.id, repr(one.difference)) for one in old.news}
    failures = {(one.key, one.record.status, repr(one.record.facts)) for one in old.failures}
    return Standing(
        tuple(one for one in now.news if (one.key, one.earlier.id, repr(one.difference)) not in news),
        tuple(
            one
            for one in now.failures
            if (one.key, one.record.status, repr(one.record.facts)) not in failures
        ),
    )


def _items(news: Iterable[News], ledger: Ledger, catalogue: Mapping[str, Experiment]) -> tuple[Item, ...]:
    """The news with their explanations, those that are the same in several variants put together,
    unexplained ones first.
    """
    alike: dict[str, list[News]] = defaultdict(list)
    for one in news:
        alike[
            repr(
                (one.earlier.id, one.later.id, one.after.experiment, one.difference, explanation(ledger, one))
            )
        ].append(one)
    items = [_item(group, explanation(ledger, group[0]), catalogue) for group in alike.values()]
    return tuple(sorted(items, key=lambda item: item.verdict is Verdict.EXPLAINED))


def _item(news: list[News], found: Explanation, catalogue: Mapping[str, Experiment]) -> Item:
    first = news[0]
    experiment = catalogue.get(first.after.experiment)
    variants = [one.after.variant for one in news]
    return Item(
        earlier="" if first.moved else first.earlier.name,
        later=first.later.name,
        experiment=first.after.experiment,
        variants=tuple(variant_name(variant) for variant in variants),
        label=variants_label(variants, experiment.combinations() if experiment else variants),
        fact=first.difference.fact,
        before=first.difference.before,
        after=first.difference.after,
        verdict=found.verdict,
        words=found.words,
    )


def _failed(failure: Failure) -> FailedCell:
    record = failure.record
    return FailedCell(
        failure.kernel.name, record.experiment, variant_name(record.variant), record.status, record.reason
    )


def _exit_code(items: Iterable[Item], now: Standing, records: Iterable[Record]) -> int:
    """1 as long as a failure or a change that nobody explained waits, tonight's or an earlier
    night's; else 3 if we failed tonight.
    """
    if now.failures or any(item.verdict is not Verdict.EXPLAINED for item in items):
        return 1
    return 3 if any(record.status is Status.ERROR for record in records) else 0
