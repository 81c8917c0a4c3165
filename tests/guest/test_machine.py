"""Guests and clones of real kernels, the oldest and the newest of the default matrix: what only a
real kernel can show.
"""

from __future__ import annotations

import hashlib
import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.processes import happens, socket_inodes
from vms.accel import choose_accelerator
from vms.agent import Agent
from vms.cache import Cache
from vms.command import Accelerator, Machine
from vms.deadline import Deadline
from vms.errors import LostGuest
from vms.guest import Guest, running
from vms.hardware import Hardware
from vms.image import Image
from vms.initramfs import Bootable
from vms.ssh import Ssh
from vms.template import Template, make_template

pytestmark = [pytest.mark.guest, pytest.mark.parametrize("bootable", ["5.10", "7.3"], indirect=True)]
ECHO = Agent(Path(__file__).with_name("echo"), "echo.agent")


@pytest.fixture(scope="module")
def machine(bootable: Bootable, image: Image, accelerator: Accelerator) -> Machine:
    return Machine(
        accelerator, Hardware(), bootable.files.vmlinuz, bootable.initramfs, image.squashfs, bootable.modules
    )


@pytest.fixture(scope="module")
def accelerator(bootable: Bootable, image: Image, cache: Cache) -> Accelerator:
    tcg = Accelerator("tcg", "", "")
    files = bootable.files
    return choose_accelerator(
        "auto",
        cache,
        lambda: Machine(tcg, Hardware(), files.vmlinuz, bootable.initramfs, image.squashfs, bootable.modules),
    )


@pytest.fixture(scope="module")
def template(bootable: Bootable, image: Image, accelerator: Accelerator, cache: Cache) -> Template:
    made = make_template(bootable, image, accelerator, ECHO, cache, Hardware())
    assert made.cold == ""
    return made


@pytest.fixture
def guest(template: Template) -> Iterator[Guest]:
    with template.start() as started:
        yield started


@pytest.fixture
def ssh(guest: Guest) -> Iterator[Ssh]:
    with guest.ssh(soon()) as session:
        yield session


def soon(seconds: float = 60) -> Deadline:
    return Deadline(seconds, "an answer")


def ask(guest: Guest, do: str) -> dict[str, object]:
    answer = json.loads(guest.ask(json.dumps({"id": "1", "do": do}).encode(), soon()).whole)
    assert isinstance(answer, dict)
    return answer


def processes(text: str) -> list[int]:
    """The processes with this text in their command line."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if text in path.read_text():
                found.append(int(path.parent.name))
        except (FileNotFoundError, ProcessLookupError):
            pass
    return found


def test_a_guest_is_what_experiments_count_on(ssh: Ssh, bootable: Bootable) -> None:
    def output(command: str) -> str:
        finished = ssh.run(command, soon())
        assert finished.status == 0, finished.output
        return finished.output

    assert output("uname -r").strip() == bootable.files.version
    assert re.findall(r"^\d+: (\S+):", output("ip link"), re.MULTILINE) == ["lo"]
    assert "state UNKNOWN" in output("ip link show lo")
    assert output("cat /proc/1/comm").strip() == "busybox"
    output("modprobe nf_conntrack && test -e /proc/sys/net/netfilter/nf_conntrack_max")
    output("iptables-nft -t raw -A PREROUTING -j CT && iptables-nft -t raw -F")
    output("nft list ruleset && conntrack -L && tcpdump --version && python3 -c 'import scapy'")
    output("unshare --user --map-root-user --net ip link")
    output("test -d /sys/fs/cgroup && touch /tmp/x /run/x /root/x")
    # What programs write there is no file in / that a cell has left.
    assert output("stat --file-system --format=%T /run /tmp /dev/shm").split() == ["tmpfs"] * 3
    output("modprobe --all bonding dummy ifb")
    assert re.findall(r"^\d+: (\S+):", output("ip link"), re.MULTILINE) == ["lo"]
    # A busy host must not look like a kernel that locks up.
    assert output("cat /proc/sys/kernel/watchdog_thresh").strip() == "60"
    assert output("cat /sys/module/rcupdate/parameters/rcu_cpu_stall_timeout").strip() == "120"


def test_the_userland_is_one_that_any_user_can_build(bootable: Bootable, image: Image) -> None:
    """Programs of systemd do not start under fakechroot, by which a user without a line in
    /etc/passwd builds it.
    """
    assert {"mount", "systemd-standalone-sysusers"} <= image.packages.keys()
    assert "systemd" not in image.packages


def test_nothing_listens_on_this_host_for_a_guest(guest: Guest) -> None:
    (pid,) = (
        pid
        for pid in processes(str(guest.qemu.directory))
        if "qemu-system" in Path(f"/proc/{pid}/cmdline").read_text()
    )
    inodes = socket_inodes(pid)
    for table in ("tcp", "tcp6", "udp", "udp6"):
        lines = Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]
        assert not [line for line in lines if line.split()[9] in inodes]
    assert guest.qemu.directory.stat().st_mode & 0o777 == 0o700


def test_clones_are_pristine_and_share_no_secrets(template: Template) -> None:
    seen = []
    for _ in range(2):
        with template.start() as clone, clone.ssh(soon()) as ssh:
            before = time.time()
            finished = ssh.run(
                "test ! -e /root/written && touch /root/written && head -c 16 /dev/urandom | od -An -tx1 &&"
                " date +%s",
                soon(),
            )
            assert finished.status == 0, finished.output
            *random, date = finished.output.split()
            # The session began with the host's time, and a clone's clock has only gone on since.
            assert before - 60 < int(date) < time.time() + 60
            seen.append(random)
    assert seen[0] != seen[1]


def test_one_session_after_the_other(guest: Guest) -> None:
    for number in range(3):
        with guest.ssh(soon()) as session:
            assert session.run(f"echo {number}", soon()).output == f"{number}\n"
    assert ask(guest, "ping")["ready"]


def test_a_whole_directory_is_pushed(ssh: Ssh, tmp_path: Path) -> None:
    source = tmp_path / "pushed"
    (source / "deep" / "er").mkdir(parents=True)
    (source / "deep" / "er" / "data").write_bytes(bytes(range(256)) * 4096)
    (source / "__pycache__").mkdir()
    (source / "script").write_text("#!/bin/sh\necho ran\n")
    (source / "script").chmod(0o755)
    ssh.push(source, "/run/target", soon())
    assert ssh.run("/run/target/script; find /run/target -name __pycache__", soon()).output == "ran\n"
    digest = hashlib.sha256((source / "deep" / "er" / "data").read_bytes()).hexdigest()
    assert ssh.run("sha256sum /run/target/deep/er/data", soon()).output.split()[0] == digest


@pytest.mark.fault(phase="cell", fault="guest crashes", outcome="noticed at once, in the kernel's words")
def test_a_kernel_that_crashes_is_noticed_at_once_and_quoted(guest: Guest) -> None:
    with guest.ssh(soon()) as session, pytest.raises(LostGuest):
        session.run("echo c >/proc/sysrq-trigger; sleep 60", soon())
    deadline = soon(3600)
    with pytest.raises(LostGuest):
        guest.ask(b'{"id": "1", "do": "ping"}', deadline)
    assert deadline.remaining > 1800
    assert guest.crashed is not None
    assert "sysrq triggered crash" in guest.crashed


@pytest.mark.fault(phase="cell", fault="guest silent", outcome="lost at the deadline")
def test_an_agent_that_does_not_answer_costs_its_deadline_only(guest: Guest) -> None:
    with pytest.raises(LostGuest, match=r"did not answer within 0\.5 s"):
        guest.ask(b'{"id": "1", "do": "sleep"}', Deadline(0.5, "an answer"))
    assert guest.crashed is None


@pytest.mark.fault(
    phase="cell",
    fault="guest floods its console",
    outcome="the console is cut at its limit, and the guest goes on",
)
def test_a_guest_whose_console_is_cut_goes_on(template: Template, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vms.qemu.LARGEST_FILE", 64 << 10)
    monkeypatch.setattr("vms.guest.LARGEST_FILE", 64 << 10)
    with template.start() as clone:
        with clone.ssh(soon()) as session:
            assert session.run("seq 20000 >/dev/ttyS0; echo done", soon()).output == "done\n"
        assert (clone.qemu.directory / "console").stat().st_size == 64 << 10
        assert clone.console().endswith("[cut: the console printed more than 0 MiB]\n")
        clone.ping(soon())


@pytest.mark.fault(phase="cell", fault="guest ends", outcome="no process, socket or directory is left")
def test_nothing_is_left_of_a_guest(template: Template) -> None:
    with template.start() as clone:
        directory = clone.qemu.directory
        assert processes(str(directory))
    assert not processes(str(directory))
    assert not directory.exists()


def test_cold_boot_says_what_the_console_said(machine: Machine) -> None:
    with running(machine, "cold") as guest:
        with guest.ssh(Deadline(120, "it to boot")) as session:
            assert session.run("true", soon()).status == 0
        assert "Linux version" in guest.console()
        assert guest.crashed is None


@pytest.mark.fault(phase="boot", fault="image damaged", outcome="an error with the console")
def test_a_root_that_cannot_be_mounted_is_our_error_with_the_console(
    machine: Machine, tmp_path: Path
) -> None:
    broken = tmp_path / "image"
    broken.write_bytes(bytes(1 << 20))
    with (
        pytest.raises(LostGuest, match="initramfs: cannot mount the image"),
        running(replace(machine, image=broken), "broken") as guest,
    ):
        guest.ping(Deadline(60, "it to boot"))


@pytest.mark.fault(phase="boot", fault="tool killed", outcome="QEMU dies with it")
def test_when_we_are_killed_nothing_keeps_running(machine: Machine) -> None:
    code = f"""
import time
from pathlib import Path
from vms.command import *
from vms.guest import running
from pathlib import PosixPath
with running({machine!r}, "cold") as guest:
    print(guest.qemu.directory, flush=True)
    time.sleep(300)
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout
        directory = Path(other.stdout.readline().strip())
        # While a process starts another program it has no command line for a moment.
        assert happens(lambda: processes(str(directory)))
        other.send_signal(signal.SIGKILL)
        other.wait()
    assert happens(lambda: not processes(str(directory)))


@pytest.mark.fault(
    phase="boot",
    fault="disk full",
    outcome="one message that names `./invoke prune`; nothing is left; with room it is made",
)
def test_a_disk_without_room_is_named_and_nothing_is_left_and_once_there_is_room_the_template_is_made(
    machine: Machine, bootable: Bootable, tmp_path: Path
) -> None:
    # A file system of 48 MiB, in a namespace so that any user can make it.
    code = f"""
import json
from pathlib import Path, PosixPath
from tests.support.full_disk import mount
from vms.cache import Cache
from vms.command import *
from vms.deadline import Deadline
from vms.errors import HostError
from vms.guest import Agent
from vms.template import Template
mount({str(tmp_path)!r}, "size=48m")
agent = Agent(Path({str(ECHO.directory)!r}), {ECHO.module!r})
template = Template("small", {machine!r}, agent, Cache(Path({str(tmp_path)!r})), "key")
try:
    template.make()
except HostError as error:
    print(type(error).__name__, error)
print([path.name for path in Path({str(tmp_path)!r}).glob("templates/*") if path.suffix != ".lock"])
mount({str(tmp_path)!r}, "remount,size=600m")
with template.start() as guest:
    answer = guest.ask(b'{{"id": "1", "do": "release"}}', Deadline(60, "an answer"))
    print(json.loads(answer.whole)["release"])
print([path.name for path in Path({str(tmp_path)!r}).glob("templates/*") if path.suffix != ".lock"])
"""
    command = ["unshare", "--user", "--map-root-user", "--mount", sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    error, left, release, made = done.stdout.splitlines()
    assert error.startswith(
        f"HostError making the template of small (in the cache {tmp_path}): no space left"
    )
    assert left == "[]"
    assert release == bootable.files.version
    assert made == "['key']"
