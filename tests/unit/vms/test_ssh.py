from __future__ import annotations

import base64
import socket
import threading
import time

import paramiko
import pytest

from tests.support.ssh import Relay, connect, soon
from vms.errors import LostGuest
from vms.ssh import Attempt, Ssh
from vms.wire import Wire


def test_a_command_gives_status_and_output(pair: tuple[socket.socket, socket.socket]) -> None:
    session = connect(pair[0], Relay(pair[1]))
    finished = session.run("uname", soon())
    assert finished.status == 3
    assert "out:uname" in finished.output
    assert "err\ufffd" in finished.output
    session.close()


def test_a_command_reads_what_it_is_given_or_not(pair: tuple[socket.socket, socket.socket]) -> None:
    session = connect(pair[0], Relay(pair[1]))
    text = bytes(1 << 20)
    assert session.run("cat", soon(), text).output.startswith("\0" * len(text) + "out:cat")
    assert session.run("uname", soon(), 4 * text).status == 3
    session.close()


def test_an_sshd_may_take_as_long_as_the_deadline_allows(
    pair: tuple[socket.socket, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Impatient(paramiko.Transport):
        def __init__(self, connection: Wire) -> None:
            super().__init__(connection)  # type: ignore[arg-type]
            if isinstance(connection, Wire):  # the other is the guest's end
                self.banner_timeout = self.handshake_timeout = 0.1

    monkeypatch.setattr(paramiko, "Transport", Impatient)
    session = connect(pair[0], Relay(pair[1], seconds=1.0))
    assert session.run("uname", soon()).status == 3
    session.close()


def test_left_over_bytes_of_an_earlier_session_are_skipped(pair: tuple[socket.socket, socket.socket]) -> None:
    session = connect(pair[0], Relay(pair[1], before=b"SSH-2.0-old\r\n\x00\xffready 0123\n"))
    assert session.run("x", soon()).status == 3
    session.close()


def test_a_relay_that_misses_the_first_words_is_told_again(pair: tuple[socket.socket, socket.socket]) -> None:
    relay = Relay(pair[1])
    first = threading.Thread(target=relay.line)  # an earlier session's sshd takes them
    first.start()
    session = connect(pair[0], relay, first)
    assert session.run("x", soon()).status == 3
    session.close()


def test_answers_to_further_words_are_not_taken_for_a_banner(
    pair: tuple[socket.socket, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[bytes] = []

    class Watching(paramiko.Transport):
        def __init__(self, connection: Wire) -> None:
            given.append(connection.peek(64))
            super().__init__(connection)  # type: ignore[arg-type]

    monkeypatch.setattr(paramiko, "Transport", Watching)

    def relay() -> None:
        session = pair[1].recv(65536).split()[1]
        pair[1].sendall(b"ready " + session + b"\n")
        while b"go " not in pair[1].recv(65536):
            pass
        pair[1].sendall(b"ready " + session + b"\nready " + session + b"\nSS")
        time.sleep(0.05)
        pair[1].sendall(b"H-2.0-late\r\n")
        time.sleep(0.2)
        pair[1].shutdown(socket.SHUT_RDWR)

    thread = threading.Thread(target=relay)
    thread.start()
    with pytest.raises(LostGuest):
        Ssh(pair[0], "6.1.0", soon())
    thread.join()
    assert given == [b"SSH-2.0-late\r\n"]


@pytest.mark.fault(phase="boot", fault="guest answers with another key", outcome="the session is refused")
def test_another_host_key_is_refused(pair: tuple[socket.socket, socket.socket]) -> None:
    stranger = paramiko.ECDSAKey.generate()
    with pytest.raises(LostGuest, match="with a host key that it was not given"):
        connect(pair[0], Relay(pair[1], host_key=stranger))


def test_every_session_has_a_host_key_and_entropy_of_its_own_and_the_time() -> None:
    hellos = []
    for _ in range(2):
        ours, theirs = socket.socketpair()
        with ours, theirs:
            relay = Relay(theirs)
            connect(ours, relay).close()
            hellos.append(relay.hello)
    first, second = hellos
    assert abs(float(first[2]) - time.time()) < 30
    assert len(base64.b64decode(first[3])) >= 32
    assert first[3] != second[3]
    assert first[4] != second[4]
    assert first[5] == second[5]  # ours, of this run


@pytest.mark.fault(phase="boot", fault="guest silent", outcome="an error within the deadline")
def test_a_command_that_does_not_end_is_given_up(pair: tuple[socket.socket, socket.socket]) -> None:
    session = connect(pair[0], Relay(pair[1]))
    with pytest.raises(LostGuest, match=r"`sleep` did not end within 0\.4 s"):
        session.run("sleep", soon(0.4))
    session.close()


@pytest.mark.fault(phase="boot", fault="guest silent", outcome="an error within the deadline")
def test_a_port_that_does_not_answer(pair: tuple[socket.socket, socket.socket]) -> None:
    with pytest.raises(LostGuest, match=r"SSH port did not answer within 0\.2 s \(it to boot\)"):
        Ssh(pair[0], "6.1.0", soon(0.2))


@pytest.mark.fault(phase="boot", fault="guest ends", outcome="an error at once")
def test_a_port_that_goes_away(pair: tuple[socket.socket, socket.socket]) -> None:
    pair[1].close()
    with pytest.raises(LostGuest, match=r"6\.1\.0"):
        Ssh(pair[0], "6.1.0", soon())


@pytest.mark.fault(phase="boot", fault="guest ends", outcome="an error at once")
def test_a_session_that_goes_away(pair: tuple[socket.socket, socket.socket]) -> None:
    relay = Relay(pair[1])
    session = connect(pair[0], relay)
    assert relay.transport
    relay.transport.close()
    with pytest.raises(LostGuest, match="while running `uname`"):
        session.run("uname", soon())
    session.close()


def test_an_attempt_gives_status_output_and_errors(pair: tuple[socket.socket, socket.socket]) -> None:
    session = connect(pair[0], Relay(pair[1]))
    attempt = session.attempt("uname", soon(), 100, soon())
    assert attempt == Attempt(3, b"out:uname", b" err\xff")
    session.close()


def test_an_attempt_that_never_ends_is_given_up_and_the_session_goes_on(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    session = connect(pair[0], Relay(pair[1]))
    assert session.attempt("sleep", soon(0.5), 100, soon()) == Attempt(None, b"", b"")
    assert session.run("uname", soon()).status == 3
    session.close()


def test_an_attempt_that_floods_is_given_up_and_the_session_goes_on(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    session = connect(pair[0], Relay(pair[1]))
    attempt = session.attempt("flood", soon(), 100_000, soon())
    assert attempt == Attempt(None, bytes(100_000), b"", flooded=True)
    assert session.run("uname", soon()).status == 3
    session.close()


def test_an_attempt_does_not_wait_for_what_it_leaves_in_the_background(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    session = connect(pair[0], Relay(pair[1]))
    assert session.attempt("background", soon(), 100, soon()) == Attempt(0, b"started", b"")
    session.close()


def test_an_attempt_in_a_guest_that_goes_away_is_a_lost_guest(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    session = connect(pair[0], Relay(pair[1]))
    threading.Timer(0.3, pair[1].shutdown, [socket.SHUT_RDWR]).start()
    with pytest.raises(LostGuest, match="SSH: "):
        session.attempt("sleep", soon(), 100, soon())
    session.close()
