"""A night as others are told of it: as JSON for programs, as messages for chats, as a mail."""

from __future__ import annotations

import html
from dataclasses import dataclass, replace
from email.message import EmailMessage

import msgspec

from matrix import VERSION
from matrix.baseline.outcome import Night
from matrix.report.text.night import summary

SCHEMA = 1
_MOST_ITEMS = 200
_FENCE = "```"


@dataclass(frozen=True)
class Notification:
    """What `nightly --notify` posts as JSON.

    `summary` is what the night printed, at most ten lines, the first a headline. `night` has at
    most 200 news, 200 failures and 200 leaks; `left_out` counts those beyond. `schema` grows with
    each change that a reader must know of.
    """

    schema: int
    version: str
    summary: str
    night: Night
    left_out: int


def notification(night: Night) -> Notification:
    """The notification of a night."""
    kept = replace(
        night,
        news=night.news[:_MOST_ITEMS],
        failures=night.failures[:_MOST_ITEMS],
        leaks=night.leaks[:_MOST_ITEMS],
    )
    left_out = _items(night) - _items(kept)
    return Notification(SCHEMA, VERSION, summary(night), kept, left_out)


def _items(night: Night) -> int:
    return len(night.news) + len(night.failures) + len(night.leaks)


def as_json(told: Notification) -> bytes:
    """The notification as docs/schema/notification.schema.json describes it."""
    return msgspec.json.encode(told)


def as_slack(told: Notification) -> bytes:
    """For an incoming webhook of Slack: nothing in the text is a link or calls anybody."""
    text = html.escape(_fenced(told.summary), quote=False)
    return msgspec.json.encode({"text": text, "unfurl_links": False, "unfurl_media": False})


def as_mattermost(told: Notification) -> bytes:
    """For an incoming webhook of Mattermost, where text between fences calls nobody either."""
    return msgspec.json.encode({"text": _fenced(told.summary)})


def as_matrix(told: Notification) -> bytes:
    """The content of a Matrix event `m.room.message`: a notice that mentions nobody."""
    return msgspec.json.encode(
        {
            "msgtype": "m.notice",
            "body": told.summary,
            "format": "org.matrix.custom.html",
            "formatted_body": f"<pre><code>{html.escape(told.summary)}</code></pre>",
            "m.mentions": {},
        }
    )


def as_mail(told: Notification, address: str) -> bytes:
    """A mail to the address, for sendmail; its subject is the first line."""
    mail = EmailMessage()
    mail["To"] = address
    mail["Subject"] = told.summary.partition("\n")[0]
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content(told.summary + "\n")
    return mail.as_bytes()


def _fenced(text: str) -> str:
    """The text between fences, which it cannot close."""
    return f"{_FENCE}\n{text.replace(_FENCE, '···')}\n{_FENCE}"
