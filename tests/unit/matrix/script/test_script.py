from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import pytest

from matrix.script.script import (
    Script,
    command_of,
    parse_ignored,
    parse_pulled,
    parse_sysctls,
    read_program,
    with_pushed,
)
from vms.errors import UsageError


def written(path: Path, text: str, *, executable: bool = False) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755 if executable else 0o644)
    return path


@pytest.mark.parametrize(
    ("name", "text", "executable", "command"),
    [
        ("test-1.bash", "\necho\n", False, ("bash", "./test-1.bash")),
        ("a.sh", "echo\n", False, ("bash", "./a.sh")),
        ("a.py", "print()\n", False, ("python3", "./a.py")),
        ("a.py", "#!/usr/bin/env python3\n", False, ("/usr/bin/env", "python3", "./a.py")),
        ("a", "#! /bin/sh -e\n", False, ("/bin/sh", "-e", "./a")),
        ("a", "#!/bin/sh\n", True, ("./a",)),
        ("a", "\x7fELF", True, ("./a",)),
        ("a", "echo\n", True, ("sh", "./a")),
    ],
)
def test_a_script_runs_by_itself_or_with_its_interpreter(
    tmp_path: Path, name: str, text: str, executable: bool, command: tuple[str, ...]
) -> None:
    assert command_of(written(tmp_path / name, text, executable=executable)) == command


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("missing", None, "No such file or directory"),
        ("empty.sh", "", "the file is empty"),
        ("data.txt", "1 2 3\n", "it is not executable, does not begin with #!.*chmod \\+x"),
    ],
)
def test_a_file_that_cannot_be_run_is_wrong_use(
    tmp_path: Path, name: str, text: str | None, message: str
) -> None:
    if text is not None:
        written(tmp_path / name, text)
    with pytest.raises(UsageError, match=message):
        command_of(tmp_path / name)


def test_a_pipe_is_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UsageError, match="neither a file nor a directory"):
        command_of(tmp_path / "pipe")


def test_a_directory_runs_its_entry_among_all_its_files(tmp_path: Path) -> None:
    written(tmp_path / "run.py", "print()\n")
    written(tmp_path / "data", "1\n")
    entry, files = read_program(tmp_path)
    assert entry == tmp_path / "run.py"
    assert files == {"data": tmp_path / "data", "run.py": tmp_path / "run.py"}


def test_a_directory_without_an_entry_is_wrong_use(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no program to begin with; call it one of run, run\.sh"):
        read_program(tmp_path)


def test_pushed_files_have_different_names(tmp_path: Path) -> None:
    script = written(tmp_path / "a.sh", "echo\n")
    other = written(tmp_path / "other" / "a.sh", "echo\n")
    beside = written(tmp_path / "b", "1\n")
    assert with_pushed({"a.sh": script}, [str(beside)]) == {"a.sh": script, "b": beside}
    with pytest.raises(UsageError, match=r"another a\.sh already"):
        with_pushed({"a.sh": script}, [str(other)])
    with pytest.raises(UsageError, match="--push nothing: no such file"):
        with_pushed({}, ["nothing"])


def test_sysctls_are_names_with_dots_and_values() -> None:
    given = ["net/netfilter/nf_conntrack_max=7", "net.ipv4.tcp_rmem=1 2 3"]
    assert parse_sysctls(given) == {"net.netfilter.nf_conntrack_max": "7", "net.ipv4.tcp_rmem": "1 2 3"}


@pytest.mark.parametrize("text", ["net.ipv4", "=7", "net.x=", "net.x=/etc/passwd", "-w=1", "a=1\nb"])
def test_a_wrong_sysctl_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="give NAME=VALUE"):
        parse_sysctls([text])


def test_files_are_pulled_to_names_that_are_free(tmp_path: Path) -> None:
    there = written(tmp_path / "there", "1\n")
    assert parse_pulled(["/tmp/x.pcap", f"log={tmp_path}/y"]) == {
        "/tmp/x.pcap": Path("x.pcap"),
        "log": tmp_path / "y",
    }
    with pytest.raises(UsageError, match="there exists already; name another"):
        parse_pulled([f"log={there}"])
    with pytest.raises(UsageError, match="z exists already"):
        parse_pulled(["a/z", "b/z"])


def test_a_wrong_regular_expression_is_refused() -> None:
    with pytest.raises(UsageError, match="--ignore '\\(' is not a regular expression"):
        parse_ignored(["("])


def packed(script: Script) -> dict[str, tarfile.TarInfo]:
    with tarfile.open(fileobj=io.BytesIO(script.packed)) as archive:
        return {member.name: member for member in archive}


def test_virtual_environments_of_the_host_become_links_to_the_guests_python(tmp_path: Path) -> None:
    written(tmp_path / "tool" / "env" / "pyvenv.cfg", "home = /usr/bin\n")
    written(tmp_path / "tool" / "env" / "lib" / "scapy.py", "1\n")
    written(tmp_path / "tool" / "run", "#!/bin/sh\n", executable=True)
    members = packed(Script("run", ("./run",), {"tool": tmp_path / "tool"}))
    assert members["work/tool/run"].mode & 0o111
    assert not any("scapy.py" in name for name in members)
    assert {name for name, member in members.items() if member.linkname == "/usr/bin/python3"} == {
        f"work/{name}/bin/{python}"
        for name in ("tool/env", "venv", ".venv")
        for python in ("python", "python3")
    }


def test_programs_for_guests_are_executable_wherever_they_are_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(tmp_path / "bin" / "tcpdump", "#!/bin/sh\n")
    written(tmp_path / "python" / "sitecustomize.py", "1\n")
    written(tmp_path / "python" / "__pycache__" / "x.pyc", "1\n")
    monkeypatch.setattr("matrix.script.script._ACCOMMODATIONS", tmp_path)
    members = packed(Script("a", ("./a",), {"a": written(tmp_path / "a", "text\n")}))
    assert members["bin/tcpdump"].mode & 0o111
    assert not any("__pycache__" in name for name in members)


def test_a_file_named_like_an_environment_is_kept(tmp_path: Path) -> None:
    members = packed(Script("a", ("./a",), {"venv": written(tmp_path / "venv", "text\n")}))
    assert members["work/venv"].isreg()
    assert "work/venv/bin/python3" not in members


def test_too_many_bytes_and_unreadable_files_are_wrong_use(tmp_path: Path) -> None:
    large = tmp_path / "large"
    with large.open("wb") as file:
        file.truncate((64 << 20) + 1)
    with pytest.raises(UsageError, match="are more than 64 MiB"):
        Script("a", ("./a",), {"large": large}).check()
    with pytest.raises(UsageError, match="cannot be read: No such file"):
        Script("a", ("./a",), {"gone": tmp_path / "gone"}).check()


def test_a_user_owns_the_files_and_has_a_namespace(tmp_path: Path) -> None:
    files = {"a": written(tmp_path / "a", "#!/bin/sh\n", executable=True)}

    def run(script: Script) -> str:
        with tarfile.open(fileobj=io.BytesIO(script.packed)) as archive:
            file = archive.extractfile("enter")
            assert file
            return file.read().decode()

    roots = run(Script("a", ("./a",), files, keep=False))
    assert not any(word in roots for word in ("unshare", "chown", "sleep"))
    unprivileged = run(Script("a", ("./a",), files, user=True))
    assert "chown -R 1000:1000 ." in unprivileged
    assert 'setpriv --reuid=1000 --regid=1000 --clear-groups unshare -Urn -- "$@"' in unprivileged


def test_the_digest_changes_with_content_and_options(tmp_path: Path) -> None:
    path = written(tmp_path / "a", "#!/bin/sh\n", executable=True)
    usual = Script("a", ("./a",), {"a": path}).digest
    others = [
        Script("a", ("./a", "x"), {"a": path}).digest,
        Script("a", ("./a",), {"a": path}, user=True).digest,
        Script("a", ("./a",), {"a": path}, sysctls={"x": "1"}).digest,
        Script("a", ("./a",), {"a": path}, stdin=b"x").digest,
        Script("a", ("./a",), {"a": path}, ignored=parse_ignored(["x"])).digest,
        Script("a", ("./a",), {"a": written(path, "#!/bin/sh -e\n", executable=True)}).digest,
    ]
    assert len({usual, *others}) == len(others) + 1
