"""Notifications of a night, to receivers on loopback that answer well, badly or for ever."""

from __future__ import annotations

import email
import email.policy
import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from commands.nights import tell
from matrix.analysis.ledger.explain import Verdict
from matrix.baseline.outcome import FailedCell, Item, Night
from matrix.nightly.notify import Receiver, notify, read_receivers, worth_telling
from matrix.report.export.notification import notification
from matrix.results.record import Status
from tests.support.floods import send_for_ever
from tests.support.receivers import Web, answers, web
from vms.errors import UsageError

SECRET = "T0/B0/a-secret-of-8-words"
LATE = 0.5


NIGHT = Night(
    day="2026-11-02",
    run="20261102-020000",
    new_kernels=("6.12.10",),
    new_experiments=(),
    sample=(),
    counts={"pass": 1},
    news=(
        Item("6.12.9", "6.12.10", "table-full", (), "", "drops", 3, 9, Verdict.UNEXPLAINED, ""),
        Item("6.12.9", "6.12.10", "table-full", (), "", "flows", 7, 8, Verdict.EXPLAINED, "More fit."),
    ),
    failures=(),
    waiting=0,
    since_lock=(),
    locked=False,
    accepted=None,
    accepted_cells=0,
    seconds=0.1,
    exit_code=1,
)


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("matrix.nightly.notify._PAUSE", 0.0)


def told(text: str, night: Night = NIGHT, seconds: float = 60.0, **environment: str) -> list[str]:
    """Tells the receiver of this text; the complaints."""
    return notify(read_receivers([text], environment), notification(night), seconds)


def test_a_webhook_receives_the_night_as_json() -> None:
    with web(answers(204)) as server:
        assert told(f"{server.url}/hook?room=1") == []
    (request,) = server.received
    assert request.line == "POST /hook?room=1"
    assert request.headers["content-type"] == "application/json"
    assert request.json["summary"].startswith(
        "conntrack-matrix 2026-11-02: 1 unexplained change, 1 explained change\n"
    )
    assert [item["after"] for item in request.json["night"]["news"]] == [9, 8]
    assert request.json["left_out"] == 0


def test_a_notification_is_bounded_and_counts_what_it_leaves_out() -> None:
    failure = FailedCell("6.1.5", "table-full", "", Status.FAIL, "x" * 1_000)
    big = replace(NIGHT, news=NIGHT.news * 5_000, failures=(failure,) * 5_000)
    cut = notification(big)
    assert (len(cut.night.news), len(cut.night.failures), cut.left_out) == (200, 200, 14_600)


def test_slack_and_mattermost_show_the_summary_between_fences_that_no_guest_can_close() -> None:
    said = "<!channel> @all ``` & <https://x.example|y>"
    night = replace(NIGHT, since_lock=(said,))
    with web(answers(200)) as server:
        url = f"{server.url}/{SECRET}"
        assert told("slack:HOOK", night, HOOK=url) == []
        assert told("mattermost:HOOK", night, HOOK=url) == []
    slack, mattermost = (request.json["text"] for request in server.received)
    assert "&lt;!channel&gt; @all ··· &amp; &lt;https://x.example|y&gt;" in slack
    assert said.replace("```", "···") in mattermost
    for text in (slack, mattermost):
        assert text.startswith("```\n")
        assert text.endswith("\n```")
        assert text.count("```") == 2


def test_a_matrix_room_gets_one_notice_that_mentions_nobody() -> None:
    night = replace(NIGHT, since_lock=("@room <b>x</b>",))
    with web(answers(503), answers(200)) as server:
        assert told(f"matrix:{server.url}/!id:m.example", night, MATRIX_ACCESS_TOKEN=SECRET) == []
    first, second = server.received
    assert first == second
    assert first.line == f"PUT /_matrix/client/v3/rooms/%21id%3Am.example/send/m.room.message/{NIGHT.run}"
    assert first.headers["authorization"] == f"Bearer {SECRET}"
    assert first.json["msgtype"] == "m.notice"
    assert first.json["m.mentions"] == {}
    assert "@room &lt;b&gt;x&lt;/b&gt;" in first.json["formatted_body"]


@pytest.fixture
def sendmail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A sendmail that writes what it is given, and the file that it writes."""
    written = tmp_path / "mail"
    program = tmp_path / "bin" / "sendmail"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\necho "$@" >{written}\ncat >>{written}\n')
    program.chmod(0o755)
    for module in ("matrix.nightly.notify", "vms.tool"):
        monkeypatch.setattr(f"{module}.SEARCH_PATH", f"{program.parent}:/usr/bin:/bin")
    return written


def test_a_mail_has_the_first_line_as_its_subject(sendmail: Path) -> None:
    assert told("mail:ada@example.org") == []
    arguments, _, text = sendmail.read_text().partition("\n")
    mail = email.message_from_string(text, policy=email.policy.default)
    assert arguments == "-i -- ada@example.org"
    assert mail["Subject"] == "conntrack-matrix 2026-11-02: 1 unexplained change, 1 explained change"
    assert "table-full: drops 3 -> 9" in mail.get_content()


def test_a_sendmail_that_fails_or_is_missing_is_named(
    sendmail: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = sendmail.parent / "bin" / "sendmail"
    program.write_text("#!/bin/sh\necho no relay >&2; exit 75\n")
    (complaint,) = told("mail:ada@example.org")
    assert complaint.startswith("--notify mail:ada@example.org: ")
    assert complaint.endswith("sendmail ended with status 75: no relay")
    program.unlink()
    with pytest.raises(UsageError, match="this host has no sendmail"):
        read_receivers(["mail:ada@example.org"], {})


@pytest.mark.parametrize(
    ("status", "attempts"), [(400, 1), (403, 1), (404, 1), (429, 3), (500, 3), (502, 3), (503, 3)]
)
def test_a_refusal_is_a_complaint_and_retried_if_it_may_pass(status: int, attempts: int) -> None:
    with web(answers(status, body=b"x" * 100)) as server:
        assert told("json:HOOK", HOOK=f"{server.url}/{SECRET}") == [
            f"--notify json:HOOK: it answered with status {status}"
        ]
    assert len(server.received) == attempts


def test_a_failure_that_passes_is_none() -> None:
    with web(answers(503), lambda client, _stop: client.close(), answers(200)) as server:
        assert told(server.url) == []
    assert [request.line for request in server.received] == ["POST /"] * 3


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(status: int) -> None:
    with web(answers(200)) as other, web(answers(status, f"Location: {other.url}/x\r\n")) as server:
        (complaint,) = told("slack:HOOK", HOOK=f"{server.url}/{SECRET}")
    assert complaint == f"--notify slack:HOOK: it answered with a redirect ({status}), which is not followed"
    assert (len(server.received), len(other.received)) == (1, 0)


def flood(start: bytes, way: str) -> Iterator[Web]:
    def answer(client: socket.socket, stop: threading.Event) -> None:
        client.sendall(start)
        send_for_ever(client.sendall, way, stop)

    with web(answer) as server:
        yield server


def test_what_follows_the_status_is_not_read() -> None:
    for server in flood(b"HTTP/1.1 200 OK\r\n\r\n", "flood"):
        assert told(server.url) == []


@pytest.mark.parametrize(
    ("start", "way"),
    [
        (b"", "flood"),
        (b"", "newlines"),
        (b"HTTP/1.1 200 OK\r\n", "flood"),
        (b"HTTP/1.1 200 OK\r\nX: ", "flood"),
    ],
)
def test_an_answer_that_is_not_http_is_a_complaint(start: bytes, way: str) -> None:
    for server in flood(start, way):
        (complaint,) = told(server.url)
        assert "it does not speak HTTP" in complaint


@pytest.mark.parametrize("way", ["silence", "trickle"])
def test_a_receiver_that_hangs_is_left_at_the_deadline(way: str) -> None:
    for server in flood(b"", way):
        assert told(server.url, seconds=LATE) == [
            f"--notify {server.url}: it did not take the notification within 0.5 s"
        ]


def test_a_receiver_that_hangs_keeps_no_other_from_being_told() -> None:
    for silent in flood(b"", "silence"):
        with web(answers(200)) as server:
            receivers = [Receiver(url, "json", url) for url in (silent.url, server.url)]
            assert len(notify(receivers, notification(NIGHT), LATE)) == 1
        assert len(server.received) == 1


def test_a_receiver_that_is_not_there_is_a_complaint() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    assert told(url) == [f"--notify {url}: Connection refused"]
    assert told("json:HOOK", HOOK=url.replace("http:", "https:"))[0].startswith("--notify json:HOOK: ")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("nowhere", "give a URL for JSON, json:VARIABLE"),
        ("slak:HOOK", "did you mean slack?"),
        ("slack:https://hooks.example/x", "give the name of the environment variable with the URL"),
        ("slack:NOWHERE", "the environment has no variable NOWHERE"),
        ("slack:EMPTY", "the environment has no variable EMPTY, or it is empty"),
        ("slack:WORD", "this is not the URL of a web server"),
        ("slack:SPACE", "this is not the URL of a web server"),
        ("slack:PORT", "this is not the URL of a web server"),
        ("slack:PLAIN", "a secret is sent over https only"),
        ("http://", "this is not the URL of a web server"),
        ("http://[x", "this is not the URL of a web server"),
        ("https://ada:pass@hooks.example/", "a URL with a password is recorded; give json:VARIABLE"),
        ("matrix:https://m.example/", "give the server and the room's id"),
        ("matrix:https://m.example/!a:m.example", "the environment has no variable MATRIX_ACCESS_TOKEN"),
        ("mail:", "'' is not a mail address"),
        ("mail:ada", "'ada' is not a mail address"),
        ("mail:-oQ/tmp@example.org", "is not a mail address"),
        ("mail:ada@example.org, eve@example.org", "is not a mail address"),
        ("mail:ada@example.org\nBcc: eve@example.org", "is not a mail address"),
    ],
)
def test_a_receiver_that_cannot_be_is_wrong_use_and_no_secret_is_quoted(text: str, said: str) -> None:
    environment = {
        "EMPTY": "",
        "WORD": SECRET,
        "SPACE": f"https://hooks.example/{SECRET} x",
        "PORT": f"https://hooks.example:port/{SECRET}",
        "PLAIN": f"http://hooks.example/{SECRET}",
    }
    with pytest.raises(UsageError) as caught:
        read_receivers([text], environment)
    assert said in str(caught.value)
    assert SECRET not in str(caught.value)
    assert "pass@" not in str(caught.value)


def test_a_receiver_shows_no_secret() -> None:
    (receiver,) = read_receivers(["slack:HOOK"], {"HOOK": f"https://hooks.example/{SECRET}"})
    assert SECRET not in repr(receiver)


def test_only_what_is_not_explained_or_not_accepted_is_worth_telling() -> None:
    explained = replace(NIGHT, news=NIGHT.news[1:])
    assert worth_telling(NIGHT)
    assert not worth_telling(explained)
    assert worth_telling(replace(explained, failures=(FailedCell("6.1.5", "e", "", Status.FAIL, "x"),)))


def test_a_receiver_that_fails_is_said_on_standard_error_without_the_secret(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with web(answers(500)) as server:
        receivers = read_receivers(["json:HOOK"], {"HOOK": f"{server.url}/{SECRET}"})
        tell(NIGHT, receivers, only_unexplained=False)
    assert capsys.readouterr() == ("", "--notify json:HOOK: it answered with status 500\n")


def test_nothing_is_sent_of_a_night_without_surprise_if_only_those_are_asked_for() -> None:
    with web(answers(200)) as server:
        receivers = read_receivers([server.url], {})
        tell(replace(NIGHT, news=NIGHT.news[1:]), receivers, only_unexplained=True)
        assert server.received == []
        tell(NIGHT, receivers, only_unexplained=True)
        assert len(server.received) == 1
