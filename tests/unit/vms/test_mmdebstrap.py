"""Whether a user may make a Debian, and what to do if not, with a program that says what mmdebstrap
says.
"""

from __future__ import annotations

import os
import pwd
from collections.abc import Callable
from pathlib import Path

import pytest

from vms import mmdebstrap, tool
from vms.errors import HostError
from vms.mmdebstrap import check_user, workplace

Say = Callable[[str], None]

NO_IDS = "W: no entry in /etc/subuid for me\nE: failed to parse /etc/subuid and /etc/subgid"
CANNOT = "work: this user may not make the user namespace that mmdebstrap works in; "


@pytest.fixture
def says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Say:
    """Lets mmdebstrap refuse this ordinary user with these words, or obey without any."""
    program = tmp_path / "bin" / "mmdebstrap"
    program.parent.mkdir()
    monkeypatch.setenv("PATH", str(program.parent), prepend=":")
    monkeypatch.setattr(tool, "SEARCH_PATH", f"{program.parent}:{tool.SEARCH_PATH}")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(pwd, "getpwuid", lambda _uid: pwd.struct_passwd(("me", "", 1000, 1000, "", "", "")))
    lists = (tmp_path / "subuid", tmp_path / "subgid")
    lists[0].write_text("# why\nyou:100000:65536\n4321:300000:10\nbroken\n")
    monkeypatch.setattr(mmdebstrap, "_IDS", lists)

    def say(words: str) -> None:
        program.write_text(f"#!/bin/sh\necho '{words}' >&2; [ -z '{words}' ] && shift && exec \"$@\"\n")
        program.chmod(0o755)

    return say


def test_a_user_without_ids_reads_the_line_that_gives_some(says: Say) -> None:
    says(NO_IDS)
    with pytest.raises(HostError) as caught:
        check_user("work", Path("/"))
    assert str(caught.value) == (
        f"{CANNOT}as root, run: usermod --add-subuids 300010-365545 --add-subgids 300010-365545 me."
        " mmdebstrap says: no entry in /etc/subuid for me failed to parse /etc/subuid and /etc/subgid"
    )


@pytest.mark.parametrize(
    ("words", "advice"),
    [
        ("W: /etc/subgid is empty", "as root, run: usermod --add-subuids 300010-365545"),
        ("E: unshare() failed: Operation not permitted", "allow user namespaces"),
        ("E: cannot find newuidmap", "yet all Debian packages of"),
    ],
)
def test_other_refusals_have_other_remedies(
    says: Say, monkeypatch: pytest.MonkeyPatch, words: str, advice: str
) -> None:
    monkeypatch.setattr(mmdebstrap, "remedy", lambda: "yet all Debian packages of `doctor` are installed")
    says(words)
    with pytest.raises(HostError, match=f"^{CANNOT}{advice}"):
        check_user("work", Path("/"))


def test_a_user_whom_the_host_does_not_know_gets_no_line(says: Say, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(_uid: int) -> pwd.struct_passwd:
        raise KeyError

    monkeypatch.setattr(pwd, "getpwuid", unknown)
    says(NO_IDS)
    with pytest.raises(HostError, match=f"^{CANNOT}do it as root, or as a user whom this host knows"):
        check_user("work", Path("/"))


def test_a_user_who_may_make_a_namespace_and_root_are_not_refused(
    says: Say, monkeypatch: pytest.MonkeyPatch
) -> None:
    says("")
    check_user("work", Path("/"))
    says(NO_IDS)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    check_user("work", Path("/"))


def test_fakechroot_does_instead_where_it_may(says: Say, tmp_path: Path) -> None:
    says(NO_IDS)
    fakechroot = tmp_path / "bin" / "fakechroot"
    fakechroot.write_text("#!/bin/sh\n")
    fakechroot.chmod(0o755)
    check_user("work", Path("/"), fakechroot=True)
    with pytest.raises(HostError):
        check_user("work", Path("/"))


def test_a_place_that_other_users_may_not_enter_is_named(says: Say, tmp_path: Path) -> None:
    says("")
    closed = tmp_path / "closed"
    with pytest.raises(HostError, match=f"who may not enter {closed}; set TMPDIR to a directory"):
        check_user("work", closed)


def test_a_user_without_ids_gets_no_workplace(says: Say, temporary: Path) -> None:
    says(NO_IDS)
    with pytest.raises(HostError, match="add-subuids"), workplace("kind-", "work"):
        pass
    assert not list(temporary.iterdir())
