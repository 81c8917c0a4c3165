from __future__ import annotations

import contextlib
import json
import os
import resource
import shutil
import signal
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from threading import Thread

import pytest

from tests.support.templates import BOOTABLE, HARDWARE, IMAGE, TCG, answers, make
from vms.agent import Agent
from vms.cache import Cache
from vms.capacity import children
from vms.deadline import Deadline
from vms.errors import HostError, LostGuest
from vms.guest import Guest
from vms.hardware import Hardware
from vms.runtime import remove_tree, sweep
from vms.template import Turns, clone_of, make_template

Fake = Callable[[str], None]


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache")


@pytest.fixture(autouse=True)
def boots(fake_qemu: Fake, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The fake has no SSH, so its agent is there from the start; what boots is counted. Fakes need
    not boot apart.
    """
    booted: list[str] = []

    def start_agent(guest: Guest, agent: Agent, deadline: Deadline) -> None:
        booted.append(guest.what)
        guest.ping(deadline)

    monkeypatch.setattr(Guest, "start_agent", start_agent)
    monkeypatch.setattr("vms.template.boot_turns", Turns(0))
    return booted


def test_booted_once_and_cloned_from_then_on(cache: Cache, agent: Agent, boots: list[str]) -> None:
    template = make(cache, agent)
    assert not template.cold
    assert answers(template)
    assert answers(template)
    assert answers(make(cache, agent))
    assert boots == ["6.1.0"]


def test_what_a_kernel_reports_while_it_boots_is_kept_with_its_template(
    fake_qemu: Fake, cache: Cache, agent: Agent, boots: list[str]
) -> None:
    assert make(cache, agent).boot.lines == ()
    (agent.directory / "agent.py").write_text("another")
    fake_qemu("warns")
    for _ in ("booted", "from the cache"):
        template = make(cache, Agent(agent.directory, agent.module))
        assert template.boot.lines == (
            "tainted W: the kernel warned",
            "WARNING: drivers/misc/lkdtm/bugs.c lkdtm_WARNING_MESSAGE: Warning message trigger count: 1",
        )
    assert len(boots) == 2


def test_a_clone_does_not_change_the_template(cache: Cache, agent: Agent) -> None:
    template = make(cache, agent)
    before = (template.path / "memory").read_bytes()
    assert answers(template)
    assert (template.path / "memory").read_bytes() == before


@pytest.mark.parametrize("file", ["memory", "state", "kernel"])
@pytest.mark.parametrize("damage", ["flip", "truncate", "delete"])
@pytest.mark.parametrize("when", ["during a run", "between runs"])
@pytest.mark.fault(phase="boot", fault="entry damaged", outcome="it is made anew")
def test_a_damaged_template_is_made_anew(
    cache: Cache, agent: Agent, boots: list[str], file: str, damage: str, when: str
) -> None:
    template = make(cache, agent)
    assert answers(template)
    path = template.path / file
    before = path.stat()
    if damage == "flip":
        with path.open("r+b") as content:
            byte = content.read(1)[0]
            content.seek(0)
            content.write(bytes([byte ^ 1]))
    elif damage == "truncate":
        os.truncate(path, 5)
    else:
        path.unlink()
    if when == "between runs":
        if path.exists():
            # As a disk would do it: the clock tells nothing.
            os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
        template = make(cache, agent)
    assert answers(template)
    assert len(boots) == 2


@pytest.mark.fault(phase="boot", fault="entry deleted", outcome="it is made anew")
def test_a_template_deleted_during_a_run_is_made_anew(cache: Cache, agent: Agent, boots: list[str]) -> None:
    template = make(cache, agent)
    shutil.rmtree(template.path)
    assert answers(template)
    assert len(boots) == 2


@pytest.mark.fault(phase="cell", fault="entry damaged", outcome="a clone of it gives no answer")
def test_a_clone_of_a_template_that_is_touched_gives_no_answer(cache: Cache, agent: Agent) -> None:
    template = make(cache, agent)
    with template.start() as guest:
        with (template.path / "memory").open("r+b") as memory:
            memory.write(b"!")
        with pytest.raises(LostGuest, match="was changed while it ran"):
            guest.ask(b'{"id": "1"}', Deadline(20, "the answer"))


@pytest.mark.fault(phase="cell", fault="entry deleted", outcome="a clone of it gives no answer")
def test_a_clone_of_a_template_that_is_deleted_gives_no_answer(cache: Cache, agent: Agent) -> None:
    template = make(cache, agent)
    with template.start() as guest:
        shutil.rmtree(template.path)
        with pytest.raises(LostGuest, match="was changed while it ran"):
            guest.ask(b'{"id": "1"}', Deadline(20, "the answer"))


@pytest.mark.fault(phase="boot", fault="QEMU killed", outcome="nothing is left; the next attempt boots it")
def test_a_template_whose_qemu_is_killed_while_it_boots_is_made_at_the_next_attempt(
    cache: Cache, agent: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        start_agent = Guest.start_agent

        def killed(guest: Guest, agent: Agent, deadline: Deadline) -> None:
            os.kill(guest.qemu.pid, signal.SIGKILL)
            start_agent(guest, agent, deadline)

        patched.setattr(Guest, "start_agent", killed)
        with pytest.raises(LostGuest, match="QEMU ended with SIGKILL"):
            make(cache, agent)
        assert not list((cache.root / "templates").glob("[!.]*[!k]"))
    assert answers(make(cache, agent))


@pytest.mark.fault(phase="cell", fault="QEMU killed", outcome="the guest counts as lost; no others suffer")
def test_a_clone_whose_qemu_is_killed_harms_no_other_clone(cache: Cache, agent: Agent) -> None:
    template = make(cache, agent)
    with template.start() as guest, template.start() as other:
        os.kill(guest.qemu.pid, signal.SIGKILL)
        with pytest.raises(LostGuest, match="QEMU ended with SIGKILL"):
            guest.ask(b'{"id": "1"}', Deadline(20, "the answer"))
        other.ping(Deadline(20, "the answer"))


@pytest.mark.fault(phase="boot", fault="/dev/kvm vanishes", outcome="an error in QEMU's words")
def test_a_boot_after_kvm_vanished_is_an_error_in_qemus_words(
    fake_qemu: Fake, cache: Cache, agent: Agent
) -> None:
    fake_qemu("nokvm")
    with pytest.raises(LostGuest, match="failed to initialize kvm"):
        make_template(BOOTABLE, IMAGE, replace(TCG, name="kvm"), agent, cache, HARDWARE)


@pytest.mark.fault(phase="cell", fault="/dev/kvm vanishes", outcome="an error in QEMU's words")
def test_a_clone_after_kvm_vanished_is_an_error_in_qemus_words(
    fake_qemu: Fake, cache: Cache, agent: Agent
) -> None:
    template = make_template(BOOTABLE, IMAGE, replace(TCG, name="kvm"), agent, cache, HARDWARE)
    fake_qemu("nokvm")
    with pytest.raises(LostGuest, match="failed to initialize kvm"):
        answers(template)


@pytest.mark.fault(
    phase="boot",
    fault="too many open files",
    outcome="one message; no process is left, and a directory only until the next process",
)
@pytest.mark.fault(
    phase="cell",
    fault="too many open files",
    outcome="one message; no process is left, and a directory only until the next process",
)
@pytest.mark.filterwarnings("ignore:.*BaseEventLoop.__del__")  # asyncio's own, of a loop half made
@pytest.mark.parametrize("what", ["boot", "clone"])
def test_without_descriptors_to_spare_a_guest_is_an_error_and_leaves_no_process(
    cache: Cache, agent: Agent, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, what: str
) -> None:
    place = tmp_path / "tmp"
    place.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    template = make(cache, agent)
    used = {int(path.name) for path in Path("/proc/self/fd").iterdir()}
    before = set(children())
    first = min(set(range(len(used) + 1)) - used)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    failed = 0
    for spare in range(40):
        if what == "boot":
            shutil.rmtree(template.path, ignore_errors=True)
        resource.setrlimit(resource.RLIMIT_NOFILE, (first + spare, hard))
        try:
            with contextlib.suppress(OSError, HostError):
                answers(template)
                break
            failed += 1
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert set(children()) <= before
        sweep.__wrapped__(place, "", remove_tree)  # as another process does
        assert list(place.iterdir()) == []
    assert failed
    assert answers(template)


def upgrade(directory: Path) -> None:
    program = directory / "bin" / "qemu-system-x86_64"
    program.write_text(program.read_text() + "# upgraded\n")


@pytest.mark.fault(phase="boot", fault="QEMU replaced", outcome="a template of the other QEMU is not loaded")
def test_what_one_qemu_saved_no_other_loads(
    cache: Cache, agent: Agent, boots: list[str], fake_qemu: Fake, tmp_path: Path
) -> None:
    old = make(cache, agent)
    assert answers(old)
    upgrade(tmp_path)
    with pytest.raises(HostError, match="was upgraded during the run"):
        answers(old)
    fake_qemu("")  # as another process finds it
    new = make(cache, agent)
    assert new.path != old.path
    assert answers(new)
    assert len(boots) == 2


@pytest.mark.fault(phase="cell", fault="QEMU replaced", outcome="an error; the state is not loaded")
def test_a_qemu_replaced_while_it_is_executed_is_given_no_state(
    cache: Cache, agent: Agent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    template = make(cache, agent)
    attach = Guest.attach

    def attached(guest: Guest, deadline: Deadline) -> None:
        attach(guest, deadline)
        upgrade(tmp_path)

    monkeypatch.setattr(Guest, "attach", attached)
    monkeypatch.setattr("vms.qemu.Qemu.load", lambda *_: pytest.fail("it was given the state"))
    with pytest.raises(HostError, match="was upgraded during the run"):
        answers(template)


@pytest.mark.fault(
    phase="boot", fault="QEMU cannot save", outcome="guests are booted instead, and it is said"
)
def test_where_saving_is_refused_guests_are_booted_and_it_is_said(
    cache: Cache, agent: Agent, fake_qemu: Fake, boots: list[str]
) -> None:
    fake_qemu("refuse")
    template = make(cache, agent)
    assert template.cold == "6.1.0: QEMU refused migrate: a device is unmigratable"
    assert answers(template)
    assert answers(template)
    template.make()
    assert len(boots) == 3
    assert not template.path.exists()


@pytest.mark.fault(
    phase="boot", fault="QEMU cannot load", outcome="guests are booted instead, and it is said"
)
def test_where_the_first_clone_fails_guests_are_booted_and_it_is_said(
    cache: Cache, agent: Agent, fake_qemu: Fake
) -> None:
    fake_qemu("noclone")
    template = make(cache, agent)
    assert "load of migration failed" in template.cold
    assert answers(template)


@pytest.mark.fault(phase="boot", fault="QEMU ends early", outcome="an error in its words; no template")
def test_a_kernel_that_does_not_boot_is_no_reason_to_boot_cold(
    cache: Cache, agent: Agent, fake_qemu: Fake
) -> None:
    fake_qemu("exit")
    with pytest.raises(LostGuest, match="could not open 'nothing'"):
        make(cache, agent)
    assert not list((cache.root / "templates").glob("[!.]*[!k]"))


def test_boots_without_kvm_begin_apart(
    cache: Cache, agent: Agent, fake_qemu: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_qemu("refuse")
    template = make(cache, agent)
    monkeypatch.setattr("vms.template.boot_turns", Turns(0.5))
    began = []

    def start() -> None:
        with template.start():
            began.append(time.monotonic())

    threads = [Thread(target=start) for _ in range(3)]
    before = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # Since before the first turn: a busy machine may note the first one late.
    assert max(began) - before >= 1.0


@pytest.mark.fault(phase="boot", fault="disk full", outcome="one message that names `./invoke prune`")
def test_a_full_disk_is_named(cache: Cache, agent: Agent, fake_qemu: Fake) -> None:
    fake_qemu("sigbus")
    with pytest.raises(HostError, match="no space left on the disk"):
        make(cache, agent)


def test_everything_that_could_change_it_makes_another(
    cache: Cache, agent: Agent, fake_qemu: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = {make(cache, agent).path}
    paths.add(make_template(replace(BOOTABLE, key="other"), IMAGE, TCG, agent, cache, HARDWARE).path)
    paths.add(make_template(BOOTABLE, IMAGE, replace(TCG, cpu="max"), agent, cache, HARDWARE).path)
    paths.add(make_template(BOOTABLE, IMAGE, replace(TCG, name="kvm"), agent, cache, HARDWARE).path)
    paths.add(make_template(BOOTABLE, IMAGE, TCG, agent, cache, Hardware(memory=16)).path)
    paths.add(make_template(BOOTABLE, IMAGE, TCG, agent, cache, Hardware(memory=8, cpus=2)).path)
    (agent.directory / "agent.py").write_text("pass  # changed")
    paths.add(make(cache, Agent(agent.directory, agent.module)).path)
    monkeypatch.setenv("FAKE_QEMU_BUILD", "2")
    fake_qemu("")
    paths.add(make(cache, agent).path)
    assert len(paths) == 8


def test_neither_places_nor_reasons_make_another(cache: Cache, agent: Agent) -> None:
    moved = replace(BOOTABLE, initramfs=Path("/elsewhere/initramfs"))
    other = make_template(
        moved, replace(IMAGE, squashfs=Path("/elsewhere")), replace(TCG, why="other"), agent, cache, HARDWARE
    )
    assert other.path == make(cache, agent).path


def test_a_clone_has_all_its_files_from_the_template(cache: Cache, agent: Agent) -> None:
    template = make(cache, agent)
    clone = clone_of(template.machine, template.path)
    assert clone.memory_file
    for path, about in ((clone.vmlinuz, "kernel"), (clone.memory_file.path, "memory")):
        assert path == template.path / about
        assert about in json.loads((template.path / "template.json").read_text())["sha256"]
    assert not clone.memory_file.shared
