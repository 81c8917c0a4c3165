"""Sites for tests, and what an upgrade's story says there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import msgspec

from bench import generate
from guest.catalogue import Experiment
from matrix.analysis.ledger.model import Ledger
from matrix.analysis.table import make_table
from matrix.analysis.upgrade import upgrade
from matrix.report.text.upgrade_sections import Entry, overview, sections, title, unseen
from matrix.report.website.contents import Contents, read_contents
from matrix.results.manifest import KernelEntry
from matrix.results.record import Record


def made_contents(
    run: Path,
    entries: Sequence[KernelEntry],
    records: Sequence[Record],
    catalogue: Mapping[str, Experiment],
    ledger: Ledger | None = None,
) -> Contents:
    """The contents of a site of one run, which is written into `run`."""
    manifest = generate.manifest(tuple(entries), tuple(catalogue))
    (run / "cells").mkdir(parents=True)
    (run / "manifest.json").write_bytes(msgspec.json.encode(manifest))
    (run / "results.json").write_bytes(msgspec.json.encode(records))
    known = ledger or generate.ledger(make_table(manifest, records, catalogue))
    return read_contents([run], catalogue, known)


def expected_story(contents: Contents, left: int, right: int) -> dict[str, Any]:
    """What `./invoke upgrade` says of two builds, in the form in which `SHOWN` reads it."""
    one, other = contents.builds[left].entry, contents.builds[right].entry
    report = upgrade(contents.answers, one, other, contents.ledger, contents.catalogue)
    return {
        "title": title(report),
        "overview": overview(report),
        "sections": [
            [f"{section.heading} {len(section.entries)}", section.advice, list(map(_entry, section.entries))]
            for section in sections(report)
        ],
        "unseen": [
            [
                f"{more.heading}: {len(more.commits)}",
                [[sentence, _reason(**asdict(reason))] for sentence, reason in more.commits],
            ]
            for more in unseen(report)
        ],
    }


def _entry(entry: Entry) -> list[Any]:
    numbers = " and ".join(", ".join(map(str, entry.together)).rsplit(", ", 1))
    sentence = entry.sentence
    if numbers:
        sentence = f"{sentence} Together with {numbers}." if sentence else f"Caused by {numbers} together."
    reasons = [_reason(**asdict(reason)) for reason in (*entry.reasons, *entry.against)]
    return [entry.number, sentence, reasons, list(entry.seen)]


def _reason(title: str, since: str, link: str) -> list[str]:
    return [f"{title}; {since}" if since else title, link]


SHOWN = """() => {
  const all = (root, selector) => [...root.querySelectorAll(selector)];
  const text = (root, selector) => root.querySelector(selector)?.textContent ?? '';
  const reason = (p) => [
    p.textContent.replace(/ \\(upstream\\)$/, ''),
    all(p, 'a[rel=external]').map((a) => a.getAttribute('href')).join(),
  ];
  const story = document.getElementById('story');
  return {
    title: text(story, 'h2'),
    overview: text(story, '[role=status]'),
    sections: all(story, 'section').map((section) => [
      text(section, 'h3'),
      text(section, '.advice'),
      all(section, '.entries > li').map((entry) => [
        entry.value,
        text(entry, 'p'),
        all(entry, '.reason').map(reason),
        all(entry, 'details li').map((seen) => seen.textContent),
      ]),
    ]),
    unseen: all(story, '.unseen').map((more) => [
      text(more, 'summary'),
      all(more, 'li').map((one) => [text(one, 'p'), reason(one.querySelector('.reason'))]),
    ]),
  };
}"""
"""What the front page shows of a story, read from the page."""
