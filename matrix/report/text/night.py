"""A night as ten lines, for a mail."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta

from matrix.baseline.outcome import Item, Night
from matrix.report.words import counted, in_words
from matrix.results.record import FactValue, shown_value
from vms.program import COMMAND
from vms.text import shown

LINES = 10
WIDTH = 200
_NAMES = 4
_VALUE = 60
_LINK = re.compile(r"\(https://[^\s()]{,90}\)$")


def summary(night: Night) -> str:
    """At most ten lines; the first is a summary, fit for a mail's subject."""
    lines = [f"conntrack-matrix {night.day}: {_verdict(night)}", *_about(night)]
    listed = [_item(item) for item in night.news]
    listed += [
        f"{cell.status}: {cell.experiment} {cell.variant} on {cell.kernel}: {cell.reason}"
        for cell in night.failures
    ]
    listed += [f"leak: {leak}" for leak in night.leaks]
    room = LINES - len(lines)
    if len(listed) > room:
        listed = [*listed[: room - 1], f"and {len(listed) - room + 1} more in the report"]
    lines[2:2] = [f"  {line}" for line in listed]
    return "\n".join(_line(line) for line in lines)


def item_line(item: Item) -> str:
    """A change on one line of bounded length."""
    return _line(_item(item))


def _verdict(night: Night) -> str:
    unexpected = night.unexplained
    parts = [
        _count(len(unexpected), "unexplained change", "unexplained changes"),
        _count(len(night.news) - len(unexpected), "explained change", "explained changes"),
        _count(len(night.failures), "failure not accepted", "failures not accepted"),
        _count(
            night.counts.get("error", 0), "cell without a verdict (error)", "cells without a verdict (error)"
        ),
        _count(len(night.leaks), "leak", "leaks"),
    ]
    said = ", ".join(part for part in parts if part)
    said = said or ("nothing unexpected" if night.run else "nothing new")
    return f"{said}, {_waiting(night)}" if night.waiting else said


def _about(night: Night) -> Iterator[str]:
    if night.run:
        kinds = ", ".join(f"{number} {status}" for status, number in sorted(night.counts.items()))
        kinds += f" ({night.reused} answered by earlier runs)" if night.reused else ""
        cells = counted(sum(night.counts.values()), "cell")
        yield f"{cells} in {timedelta(seconds=round(night.seconds))}: {kinds}"
        yield (
            f"new kernels: {_names(night.new_kernels)}; new experiments: {_names(night.new_experiments)};"
            f" sample: {_names(night.sample)}{' (each cell in a guest of its own)' if night.sample else ''}"
        )
    else:
        yield (
            "no new kernel, no new experiment, and today's sample is done: nothing to run"
            f" ({night.seconds:.0f} s)"
        )
    if night.since_lock:
        not_run = ", so not run" if night.locked else ""
        yield (
            f"newer than matrix.lock{not_run}: {_names(night.since_lock)}; `{COMMAND} lock --upgrade` adds"
            " them"
        )
    if night.accepted is None:
        yield f"no baseline is accepted yet; look at the report, then `{COMMAND} accept --why ...`"
    else:
        accepted = night.accepted
        yield (
            f"baseline: {counted(night.accepted_cells, 'cell')}, moved by {accepted.who} on"
            f" {accepted.when[:10]}: {accepted.why}"
        )
    if night.accepted and (night.news or night.failures or night.waiting):
        yield f"`{COMMAND} accept --why ...` accepts these answers"
    if night.run:
        yield f"report: results/{night.run}/report/index.html"


def _waiting(night: Night) -> str:
    return (
        f"{_count(night.waiting, 'change or failure', 'changes or failures')} of earlier nights not"
        " accepted yet"
    )


def _item(item: Item) -> str:
    variants = f" ({item.label})" if item.label else ""
    where = f"{item.earlier} -> {item.later}" if item.earlier else f"{item.later} itself"
    if item.answers:
        what = f"{' -> '.join(item.answers)} ({item.fact})"
    else:
        what = f"{item.fact or 'status'} {_value(item.before)} -> {_value(item.after)}"
    return f"{item.verdict}: {where}: {item.experiment}{variants}: {what}" + (
        f", {item.words}" if item.words else ""
    )


def _value(value: FactValue | None) -> str:
    text = "none" if value is None else " ".join(in_words(shown_value(value)).split())
    return text if len(text) <= _VALUE else text[: _VALUE - 1] + "…"


def _names(names: tuple[str, ...]) -> str:
    more = f" and {len(names) - _NAMES} more" if len(names) > _NAMES else ""
    return ", ".join(names[:_NAMES]) + more if names else "none"


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}" if number else ""


def _line(text: str) -> str:
    """The text on one line of bounded length; a link at its end is not cut."""
    if len(text) > WIDTH:
        link = _LINK.search(text)
        end = f"… {link[0]}" if link else "…"
        text = text[: WIDTH - len(end)] + end
    return (
        " ".join(shown(text).split()) if not text.startswith("  ") else "  " + " ".join(shown(text).split())
    )
