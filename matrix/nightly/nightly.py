"""A nightly run: runs new cells and a sample of the others, and compares the answers with the
accepted baseline.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path

from guest.catalogue import Experiment
from matrix.analysis.analysis import analyse, exit_code
from matrix.analysis.fact_value import frozen_facts
from matrix.analysis.ledger.explain import Verdict
from matrix.analysis.variants import Variant, grouped
from matrix.analysis.wording.tell import tell_apart
from matrix.baseline.baseline import Baseline
from matrix.baseline.deviations import Failure, News, Standing, explanation, standing
from matrix.baseline.outcome import FailedCell, Item, Night
from matrix.invocation import RunRequest, run_matrix
from matrix.nightly.sample import choose, only
from matrix.plan.plan import variant_name
from matrix.report.export.junit import junit_with_news
from matrix.report.words import counted, leak_in_words
from matrix.report.write import write_reports
from matrix.results.directory import json_bytes
from matrix.results.latest import Key, LatestAnswers, read_latest
from matrix.results.record import Record, Status
from matrix.results.unstable import mark_unstable
from vms.files import write_whole


def nightly(
    request: RunRequest,
    baseline: Baseline,
    today: date,
    *,
    since_lock: tuple[str, ...] = (),
    locked: bool = False,
) -> Night:
    """Runs the new cells of the plan and a sample of the others. `today` (UTC) selects the sample,
    each cell of which is asked in a guest of its own.

    `since_lock` names kernels that `matrix.lock` does not hold; if `locked`, the plan has none of
    them. Both go into the report.

    Every cell that changed or failed runs a second time; if its answers disagree it is `unstable`.
    """
    begun = time.monotonic()
    before = read_latest(request.results, baseline.known, request.display.note)
    tonight = choose(request.plan, before, today)
    old = standing(baseline, before)
    path: Path | None = None
    records: Sequence[Record] = ()
    after = before
    if tonight.plan.cells:
        # Another machine may have given the accepted answers, and tonight's are newer.
        number = max((answer.run for answer in before.answers.values()), default=0)
        sampled = frozenset(kernel.name for kernel in tonight.sample)
        request = replace(request, plan=tonight.plan, after=number, again=tonight.again, pristine=sampled)
        path, records, after = _run_twice(request, baseline, before, old)
    now = standing(baseline, after)
    fresh = _fresh(old, now)
    items = _items(now.news, request)
    fresh_items = _items(fresh.news, request)
    night = Night(
        day=today.isoformat(),
        run=path.name if path else "",
        new_kernels=tuple(kernel.name for kernel in tonight.kernels),
        new_experiments=tonight.experiments,
        sample=tuple(kernel.name for kernel in tonight.sample),
        counts=Counter(str(record.status) for record in records),
        reused=sum(bool(record.reused) for record in records),
        leaks=tuple(leak_in_words(record) for record in records if record.leak),
        news=fresh_items,
        failures=tuple(_failed(failure) for failure in fresh.failures),
        waiting=len(items) - len(fresh_items) + len(now.failures) - len(fresh.failures),
        since_lock=since_lock,
        locked=locked,
        accepted=baseline.acceptances[-1] if baseline.acceptances else None,
        accepted_cells=len(baseline.known.answers),
        seconds=round(time.monotonic() - begun, 1),
        exit_code=_exit_code(items, now, records),
    )
    if path:
        _write(path, night)
    return night


def _exit_code(items: Sequence[Item], now: Standing, records: Sequence[Record]) -> int:
    """Changes and failures of earlier nights count until they are accepted, errors and leaks only
    tonight.
    """
    return exit_code(
        unexplained=any(item.verdict is not Verdict.EXPLAINED for item in items),
        failed=bool(now.failures),
        errors=any(record.status is Status.ERROR or record.leak for record in records),
    )


def _write(path: Path, night: Night) -> None:
    junit = path / "report" / "junit.xml"
    write_whole(junit, junit_with_news(junit.read_bytes(), night))
    # Written last: a run counts as a finished night once it has this file.
    write_whole(path / "nightly.json", json_bytes(night))


def _run_twice(
    request: RunRequest, baseline: Baseline, before: LatestAnswers, old: Standing
) -> tuple[Path, Sequence[Record], LatestAnswers]:
    """Runs the plan, and the cells again that changed or failed; the run's directory, its records
    and the answers known afterwards.
    """
    result = run_matrix(request)
    manifest, records = result.analysis.table.manifest, result.analysis.records
    after = before.with_run(manifest, records)
    suspects = _fresh(old, standing(baseline, after))
    disagreeing = _disagreeing(replace(request, results=result.run / "again"), after, suspects)
    if not disagreeing:
        return result.run, records, after
    records = tuple(mark_unstable(result.run, disagreeing))
    write_reports(result.run, analyse(manifest, records, request.catalogue, request.ledger))
    return result.run, records, before.with_run(manifest, records)


def _disagreeing(request: RunRequest, after: LatestAnswers, suspects: Standing) -> dict[Key, Record]:
    """Runs the cells with news again and returns the other answers of those that answered
    differently.
    """
    wanted = {news.key[0] for news in suspects.news} | {one.key for one in suspects.failures}
    again = only(
        request.plan,
        lambda cell: (cell.kernel.id, cell.experiment.name, variant_name(cell.variant)) in wanted,
    )
    if not again.cells:
        return {}
    request.display.note(f"running {counted(len(again.cells), 'cell')} again that changed or failed")
    alone = frozenset(kernel.name for kernel in again.kernels)
    keys = {cell.key for cell in again.cells}
    analysis = run_matrix(replace(request, plan=again, again=keys, pristine=alone)).analysis
    second = LatestAnswers().with_run(analysis.table.manifest, analysis.records).answers
    return {
        key: answer.record
        for key, answer in second.items()
        if not answer.record.same_answer(after.answers[key].record, reason=False)
    }


def _fresh(old: Standing, now: Standing) -> Standing:
    """The changes and failures of `now` that `old` does not have."""
    news = set(map(_news_key, old.news))
    failures = set(map(_failure_key, old.failures))
    return Standing(
        tuple(one for one in now.news if _news_key(one) not in news),
        tuple(one for one in now.failures if _failure_key(one) not in failures),
    )


def _news_key(news: News) -> Hashable:
    return news.key, news.earlier.id, news.difference.key


def _failure_key(failure: Failure) -> Hashable:
    return failure.key, failure.record.status, frozen_facts(failure.record.facts)


def _items(news: Sequence[News], request: RunRequest) -> tuple[Item, ...]:
    """The changes with their explanations, unexplained ones first; variants with the same change
    are one item.
    """
    groups = grouped(
        ((one, *explanation(request.ledger, one)) for one in news),
        key=lambda item: (
            item[0].earlier.id,
            item[0].later.id,
            item[0].after.experiment,
            item[0].difference.key,
            item[1:],
        ),
        variant=lambda item: item[0].after.variant,
        everything=lambda item: _variants(request.catalogue.get(item[0].after.experiment)),
    )
    items = [_item(label, [news for news, _, _ in group], *group[0][1:]) for label, group in groups]
    return tuple(sorted(items, key=lambda item: item.verdict is Verdict.EXPLAINED))


def _variants(experiment: Experiment | None) -> Sequence[Variant]:
    return experiment.combinations() if experiment else ()


def _item(label: str, news: Sequence[News], verdict: Verdict, words: str) -> Item:
    first = news[0]
    return Item(
        earlier="" if first.moved else first.earlier.name,
        later=first.later.name,
        experiment=first.after.experiment,
        variants=tuple(variant_name(one.after.variant) for one in news),
        label=label,
        fact=first.difference.fact,
        before=first.difference.before,
        after=first.difference.after,
        verdict=verdict,
        words=words,
        answers=tell_apart((one.before, one.after) for one in news),
    )


def _failed(failure: Failure) -> FailedCell:
    record = failure.record
    return FailedCell(
        failure.kernel.name, record.experiment, variant_name(record.variant), record.status, record.reason
    )
