"""Tells others of a night: `nightly --notify`.

Who cannot be told is named on standard error; the night and its exit code stay what they are. A
receiver may answer whatever it likes for as long as it likes: only the status of its answer is
read, no redirect is followed, and at the deadline the tool goes on without it.
"""

from __future__ import annotations

import re
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from email.errors import MessageError
from email.headerregistry import Address
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from ssl import SSLError, create_default_context
from urllib.parse import SplitResult, quote, urlsplit

from matrix import VERSION
from matrix.baseline.outcome import Night
from matrix.report.export.notification import (
    Notification,
    as_json,
    as_mail,
    as_matrix,
    as_mattermost,
    as_slack,
)
from vms.deadline import Deadline
from vms.errors import HostError, UsageError
from vms.suggest import suggestion
from vms.tool import SEARCH_PATH, run

SECONDS = 60.0
"""How long all receivers together are waited for."""
MATRIX_TOKEN = "MATRIX_ACCESS_TOKEN"
"""The environment variable with the access token of the Matrix account that posts."""
_SILENCE = 15.0  # seconds without a byte
_ATTEMPTS = 3
_PAUSE = 2.0  # seconds before the second attempt, twice as many before the third
_PASSING = (408, 425, 429, 500, 502, 503, 504)
_LOOPBACK = ("localhost", "127.0.0.1", "::1")

Body = Callable[[Notification], bytes]
_BODIES: Mapping[str, Body] = {"json": as_json, "mattermost": as_mattermost, "slack": as_slack}
FORMS = (*_BODIES, "mail", "matrix")
HOW = "give a URL for JSON, json:VARIABLE, slack:VARIABLE, mattermost:VARIABLE, matrix:URL or mail:ADDRESS"


@dataclass(frozen=True)
class Receiver:
    """Who is told. `name` is what the user gave, which holds no secret; `where` and `token` may."""

    name: str
    form: str
    where: str = field(repr=False)
    token: str = field(default="", repr=False)


class _NotTold(Exception):
    """Why a receiver was not told, in words that hold no secret; `again` if that may pass."""

    def __init__(self, why: str, *, again: bool) -> None:
        self.again = again
        super().__init__(why)


def read_receivers(texts: Sequence[str], environment: Mapping[str, str]) -> tuple[Receiver, ...]:
    """Those whom --notify names. Raises UsageError, which quotes no value of a variable."""
    return tuple(_receiver(text, environment) for text in texts)


def _receiver(text: str, environment: Mapping[str, str]) -> Receiver:
    form, _, rest = text.partition(":")
    flag = f"--notify {text!r}"
    if form in ("http", "https"):
        if re.match("[a-z]+:/*[^/?#]*@", text):
            raise UsageError("--notify: a URL with a password is recorded; give json:VARIABLE instead")
        return Receiver(text, "json", _checked(flag, text))
    if form == "mail":
        return Receiver(text, form, _address(flag, rest))
    if form == "matrix":
        return _room(flag, text, rest, environment)
    if form not in _BODIES:
        raise UsageError(f"{flag}: {HOW}" + (f"; {suggestion(form, FORMS)}" if rest else ""))
    if not re.fullmatch(r"\w+", rest):
        raise UsageError(f"{flag}: after {form}: give the name of the environment variable with the URL")
    return Receiver(text, form, _checked(flag, _variable(flag, rest, environment), secret=True))


def _variable(flag: str, name: str, environment: Mapping[str, str]) -> str:
    if not environment.get(name):
        raise UsageError(f"{flag}: the environment has no variable {name}, or it is empty")
    return environment[name]


def _checked(flag: str, url: str, *, secret: bool = False) -> str:
    """The URL, if it is one. With a secret in it or beside it, only https or loopback will do."""
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        good = False
    if not good or not re.fullmatch(r"[!-~]+", url):
        raise UsageError(f"{flag}: this is not the URL of a web server, https://host/path")
    if secret and parts.scheme != "https" and parts.hostname not in _LOOPBACK:
        raise UsageError(f"{flag}: a secret is sent over https only")
    return url


def _room(flag: str, text: str, url: str, environment: Mapping[str, str]) -> Receiver:
    parts = urlsplit(_checked(flag, url, secret=True))
    room = parts.path.strip("/")
    if not re.fullmatch(r"![^/]+", room) or parts.query:
        raise UsageError(
            f"{flag}: give the server and the room's id: matrix:https://matrix.org/!id:matrix.org"
        )
    path = f"/_matrix/client/v3/rooms/{quote(room, safe='')}/send/m.room.message/"
    where = parts._replace(path=path).geturl()
    return Receiver(text, "matrix", where, _variable(flag, MATRIX_TOKEN, environment))


def _address(flag: str, text: str) -> str:
    try:
        address = Address(addr_spec=text)
    except (MessageError, ValueError, IndexError):
        address = Address()
    if not address.domain or not address.addr_spec.isascii() or text.startswith("-"):
        raise UsageError(f"{flag}: {text!r} is not a mail address")
    if not shutil.which("sendmail", path=SEARCH_PATH):
        raise UsageError(f"{flag}: this host has no sendmail; install one, such as Debian's msmtp-mta")
    return address.addr_spec


def worth_telling(night: Night) -> bool:
    """Whether a change of the night is not explained, or a failure not accepted."""
    return bool(night.failures or night.unexplained)


def notify(receivers: Sequence[Receiver], told: Notification, seconds: float = SECONDS) -> list[str]:
    """Tells all of them at the same time. The complaints: which of them could not be told, and why.

    Returns within `seconds`, whatever the receivers do.
    """
    deadline = Deadline(seconds, "the receivers of the notification")
    outcomes: dict[str, str] = {}

    def deliver(receiver: Receiver) -> None:
        outcomes[receiver.name] = _complaint(receiver, told, deadline)

    # No thread can be ended from outside: one whose receiver never ends ends with the process.
    threads = [threading.Thread(target=deliver, args=(receiver,), daemon=True) for receiver in receivers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(deadline.remaining)
    late = f"it did not take the notification within {seconds:g} s"
    found = [(receiver.name, outcomes.get(receiver.name, late)) for receiver in receivers]
    return [f"--notify {name}: {why}" for name, why in found if why]


def _complaint(receiver: Receiver, told: Notification, deadline: Deadline) -> str:
    """Why the receiver was not told, after up to three attempts; empty if it was."""
    send = _mail if receiver.form == "mail" else _post
    for attempt in range(_ATTEMPTS):
        if attempt:
            time.sleep(min(_PAUSE * attempt, deadline.remaining))
        try:
            send(receiver, told, deadline)
        except _NotTold as error:
            why = str(error)
            if not error.again or deadline.expired:
                break
        else:
            return ""
    return why


def _mail(receiver: Receiver, told: Notification, deadline: Deadline) -> None:
    with tempfile.TemporaryFile() as mail:
        mail.write(as_mail(told, receiver.where))
        mail.seek(0)
        try:
            run(["sendmail", "-i", "--", receiver.where], deadline, stdin=mail)
        except HostError as error:
            raise _NotTold(str(error), again=False) from error


def _post(receiver: Receiver, told: Notification, _deadline: Deadline) -> None:
    method, where = "POST", receiver.where
    body = as_matrix(told) if receiver.form == "matrix" else _BODIES[receiver.form](told)
    headers = {"Content-Type": "application/json", "User-Agent": f"conntrack-matrix/{VERSION}"}
    if receiver.token:
        # The room takes one message of a transaction's name, however often it is sent.
        method, where = "PUT", where + quote(told.night.run or told.night.day, safe="")
        headers["Authorization"] = f"Bearer {receiver.token}"
    parts = urlsplit(where)
    query = f"?{parts.query}" if parts.query else ""
    try:
        connection = _connection(parts)
        try:
            connection.request(method, (parts.path or "/") + query, body, headers)
            status = connection.getresponse().status
        finally:
            connection.close()
    except TimeoutError:
        raise _NotTold("it did not answer", again=True) from None
    except SSLError as error:
        raise _NotTold(f"TLS with it failed ({error.reason})", again=False) from None
    except OSError as error:
        raise _NotTold(error.strerror or type(error).__name__, again=True) from None
    except (HTTPException, ValueError) as error:  # their text may quote the URL
        raise _NotTold(f"it does not speak HTTP ({type(error).__name__})", again=True) from None
    if 300 <= status < 400:
        raise _NotTold(f"it answered with a redirect ({status}), which is not followed", again=False)
    if not 200 <= status < 300:
        raise _NotTold(f"it answered with status {status}", again=status in _PASSING)


def _connection(parts: SplitResult) -> HTTPConnection:
    assert parts.hostname
    if parts.scheme == "http":
        return HTTPConnection(parts.hostname, parts.port, timeout=_SILENCE)
    return HTTPSConnection(parts.hostname, parts.port, timeout=_SILENCE, context=create_default_context())
