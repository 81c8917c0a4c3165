from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from vms import virtme
from vms.agent import Agent
from vms.command import Accelerator
from vms.deadline import Deadline
from vms.errors import HostError, LostGuest
from vms.hardware import Hardware
from vms.virtme import VirtmeMachine, VirtmeTemplate, check_seen, host_userland, lacking

Fake = Callable[[str], None]
TELLS = """#!/bin/sh
for word in "$@"; do
  echo "$word" >>"$TOLD"
  [ "$before" != --qemu-bin ] || qemu=$word
  before=$word
done
echo some warning >&2
echo "$qemu -chardev file,id=console,path=/dev/null -append 'a b'"
"""


@pytest.fixture
def told(fake_qemu: Fake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A virtme-run that tells the command line of the fake QEMU; the file with what it was told."""
    program = tmp_path / "bin" / "virtme-run"
    program.write_text(TELLS)
    program.chmod(0o755)
    monkeypatch.setattr(virtme, "_found", lambda name: str(program) if name == program.name else None)
    monkeypatch.setenv("TOLD", str(tmp_path / "told"))
    return tmp_path / "told"


@pytest.fixture
def machine(tmp_path: Path) -> VirtmeMachine:
    package = tmp_path / "a guest"
    package.mkdir()
    own = tmp_path / "mine"
    own.mkdir()
    accelerator = Accelerator("tcg", "qemu64", "the test asked for it")
    return VirtmeMachine(
        accelerator, Hardware(8, 2), Path("/boot/vmlinuz"), Agent(package, "guest.agent", own)
    )


def test_the_command_line_is_virtme_ngs_with_our_accelerator_console_and_port(
    told: Path, machine: VirtmeMachine, tmp_path: Path
) -> None:
    words = machine.words(tmp_path)
    assert words[words.index("-append") + 1] == "a b"
    assert words[words.index("-accel") + 1] == "tcg,tb-size=128"
    assert words[words.index("-cpu") + 1] == "qemu64"
    assert f"file,id=console,path={tmp_path}/console" in words
    assert "file,id=console,path=/dev/null" not in words
    assert "virtserialport,chardev=agent,name=agent" in words
    asked = told.read_text().splitlines()
    assert asked[asked.index("--kimg") + 1] == "/boot/vmlinuz"
    assert asked[asked.index("--memory") + 1] == "8M"
    assert asked[asked.index("--cpus") + 1] == "2"
    assert "--force-9p" in asked  # virtiofs would need a process beside QEMU
    assert "--force-initramfs" in asked  # virtme-ng saves none for a kernel that has all built in
    assert "--kopt=oops=panic" in asked


def script(told: Path) -> list[str]:
    """The words of the command that a guest runs when it has booted."""
    asked = told.read_text().splitlines()
    return shlex.split(asked[asked.index("--script-sh") + 1])


def test_the_guest_copies_the_agent_and_the_users_own_experiments_and_starts_it(
    told: Path, machine: VirtmeMachine, tmp_path: Path
) -> None:
    machine.words(tmp_path)
    shell, program, python, module, *copied, end = script(told)
    assert (shell, Path(program).read_text()[0]) == ("sh", "#")
    assert (Path(python).name, module) == (Path(sys.executable).name, "guest.agent")
    assert Path(python).samefile(sys.executable)
    assert copied == [f"a guest={tmp_path}/a guest", f"own={tmp_path}/mine"]
    assert end == "--"


def test_the_guest_sees_what_it_needs_of_the_hosts_tmp_by_each_name(
    told: Path, machine: VirtmeMachine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(virtme, "_TEMPORARY", tmp_path / "tmp")
    cache = tmp_path / "tmp" / "cache"
    (cache / "inner").mkdir(parents=True)
    link = tmp_path / "link"
    link.symlink_to(cache)
    (tmp_path / "tmp" / "usr").symlink_to("/usr")
    seen = (cache / "inner", link, tmp_path / "tmp" / "usr", Path("/usr"))
    replace(machine, seen=seen).words(tmp_path)
    kept = script(told)[script(told).index("--") + 1 :]
    assert kept == [str(cache), str(cache / "inner"), str(tmp_path / "tmp" / "usr")]


def test_the_guest_is_given_the_real_place_of_a_python_environment_behind_a_link(
    told: Path, machine: VirtmeMachine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "python").symlink_to(sys.executable)
    (tmp_path / "link").symlink_to(tmp_path / "real")
    monkeypatch.setattr(sys, "executable", str(tmp_path / "link" / "python"))
    machine.words(tmp_path)
    assert script(told)[2] == str(tmp_path / "real" / "python")


def test_a_command_line_without_a_console_is_refused(
    told: Path, machine: VirtmeMachine, tmp_path: Path
) -> None:
    program = tmp_path / "bin" / "virtme-run"
    program.write_text(TELLS.replace("id=console", "id=other"))
    with pytest.raises(HostError, match="virtme-ng told no command line of QEMU that logs its console"):
        machine.words(tmp_path)


def test_a_guest_is_booted_and_answers(told: Path, fake_qemu: Fake, machine: VirtmeMachine) -> None:
    fake_qemu("warns")
    template = VirtmeTemplate("mine", machine, 1.0)
    template.make()
    with template.start() as guest:
        answer = guest.ask(b'{"id": "7", "do": "run"}', Deadline(60, "the answer"))
    assert json.loads(answer.whole)["asked"] == "7"
    assert template.boot.tainted == 512


def test_a_kernel_that_never_booted_is_not_booted_for_each_cell(
    told: Path, fake_qemu: Fake, machine: VirtmeMachine
) -> None:
    fake_qemu("exit")
    template = VirtmeTemplate("mine", machine, 1.0)
    for _ in range(4):
        with pytest.raises(LostGuest, match="could not open 'nothing'"), template.start():
            pass
    assert told.read_text().count("--kimg") == 2


def test_each_missing_program_is_named_with_what_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    gone = {"nft", "conntrack", "virtme-run", "vng"}
    monkeypatch.setattr(virtme, "_found", lambda name: None if name in gone else f"/usr/bin/{name}")
    with pytest.raises(HostError) as error:
        host_userland()
    said = str(error.value)
    assert "lacks nft, conntrack, vng, virtme-run; as root, run: " in said
    assert "apt-get install --no-install-recommends conntrack nftables" in said
    assert "pip install virtme-ng" in said
    assert "busybox" not in said


def test_a_host_that_has_everything_lacks_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(virtme, "_found", lambda name: f"/usr/bin/{name}")
    assert lacking() == ""


def test_the_versions_of_the_hosts_programs_are_the_userland(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def install(version: str) -> None:
        for name, *_ in virtme._PROGRAMS:
            (tmp_path / name).write_text(f"#!/bin/sh\necho {name} {version}; echo more\n")
            (tmp_path / name).chmod(0o755)

    monkeypatch.setattr(virtme, "_found", lambda name: str(tmp_path / name))
    install("v1")
    before = host_userland()
    assert before.packages["nft"] == "nft v1"
    assert set(before.packages) >= {"python", "scapy", "conntrack", "iptables-legacy", "vng"}
    install("v2")
    assert host_userland().sha256 != before.sha256


@pytest.mark.parametrize("own", ["/run", "/dev", "/var/cache", "/var/tmp"])
def test_a_path_that_a_guest_would_not_see_is_refused(own: str) -> None:
    check_seen(Path("/usr/bin"), Path("/tmp/x"), Path("/var/lib/x"))
    with pytest.raises(HostError, match=rf"have a {own} of their own, and do not see {own}/x; move it"):
        check_seen(Path("/usr/bin"), Path(own, "x"))


def test_a_path_that_leads_to_where_a_guest_would_not_see_it_is_refused(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/dev/x")
    with pytest.raises(HostError, match=r"have a /dev of their own, and do not see /dev/x; move it"):
        check_seen(tmp_path / "link")
