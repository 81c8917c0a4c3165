"""What may happen to a template, on a real kernel: it is made anew or there is a clear error, and
never a wrong answer.
"""

from __future__ import annotations

import json
import mmap
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from vms import qemu_binary
from vms.agent import Agent
from vms.cache import Cache
from vms.command import Accelerator
from vms.deadline import Deadline
from vms.errors import HostError, LostGuest
from vms.guest import Guest, running
from vms.hardware import Hardware
from vms.image import Image
from vms.initramfs import Bootable
from vms.template import Template, clone_of, make_template

pytestmark = [pytest.mark.guest, pytest.mark.parametrize("bootable", ["6.12"], indirect=True)]
ECHO = Agent(Path(__file__).with_name("echo"), "echo.agent")
TCG = Accelerator("tcg", "qemu64,+rdrand,-cx16", "templates are the same with any")
KEY = "key"

Damage = Callable[[Path], None]


@pytest.fixture(scope="module")
def whole(bootable: Bootable, image: Image, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Template]:
    """A template that nothing happens to."""
    root = tmp_path_factory.mktemp("cache")
    made = make_template(bootable, image, TCG, ECHO, Cache(root), Hardware())
    assert made.cold == ""
    yield made
    shutil.rmtree(root)


@pytest.fixture
def entry(whole: Template, tmp_path: Path) -> Iterator[Path]:
    """A copy of it in a cache of its own."""
    path = Cache(tmp_path / "cache").path("templates", KEY)
    path.parent.mkdir(parents=True)
    subprocess.run(
        ["cp", "--recursive", "--sparse=always", "--preserve=timestamps", str(whole.path), str(path)],
        check=True,
    )
    yield path
    shutil.rmtree(tmp_path / "cache")


def opened(entry: Path, whole: Template) -> Template:
    """The template that lies there, as another process finds it."""
    return Template(whole.name, whole.machine, ECHO, Cache(entry.parents[1]), KEY)


def release(guest: Guest) -> str:
    return str(
        json.loads(guest.ask(b'{"id": "1", "do": "release"}', Deadline(60, "an answer")).whole)["release"]
    )


def answer(template: Template) -> str:
    with template.start() as guest:
        return release(guest)


def change_memory(entry: Path) -> None:
    """Lets the kernel believe it were another one."""
    with (entry / "memory").open("r+b") as file, mmap.mmap(file.fileno(), 0) as memory:
        old = json.loads((entry / "release").read_bytes()).encode()
        new = old.translate(bytes.maketrans(b"0123456789", b"1234567890"))
        position = memory.find(old)
        assert position >= 0
        while position >= 0:
            memory[position : position + len(old)] = new
            position = memory.find(old, position + 1)


def flip_state(entry: Path) -> None:
    with (entry / "state").open("r+b") as file:
        file.seek(entry.joinpath("state").stat().st_size // 2)
        byte = file.read(1)[0]
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte ^ 1]))


def truncate_memory(entry: Path) -> None:
    os.truncate(entry / "memory", (entry / "memory").stat().st_size // 2)


def truncate_state(entry: Path) -> None:
    os.truncate(entry / "state", 1000)


def delete_memory(entry: Path) -> None:
    (entry / "memory").unlink()


def delete_all(entry: Path) -> None:
    shutil.rmtree(entry)


def remember_release(entry: Path, bootable: Bootable) -> None:
    (entry / "release").write_text(json.dumps(bootable.files.version))


def only_the_template_lies_there(entry: Path) -> bool:
    return {path.name for path in entry.parent.iterdir()} == {KEY, f"{KEY}.lock"}


def test_without_a_check_a_changed_memory_would_answer_wrongly(
    whole: Template, entry: Path, bootable: Bootable
) -> None:
    remember_release(entry, bootable)
    change_memory(entry)
    deadline = Deadline(60, "a clone to start")
    with running(clone_of(whole.machine, entry), "unchecked") as guest:
        guest.attach(deadline)
        guest.qemu.load((entry / "state").read_bytes(), deadline)
        assert release(guest) != bootable.files.version


@pytest.mark.parametrize(
    "damage", [change_memory, flip_state, truncate_memory, truncate_state, delete_memory]
)
@pytest.mark.fault(phase="boot", fault="entry damaged", outcome="it is made anew")
def test_one_that_was_damaged_between_runs_is_made_anew(
    whole: Template, entry: Path, bootable: Bootable, damage: Damage
) -> None:
    remember_release(entry, bootable)
    before = {path: path.stat() for path in entry.iterdir()}
    damage(entry)
    for path, status in before.items():
        if path.exists():  # a disk tells nothing of what it forgets
            os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert answer(opened(entry, whole)) == bootable.files.version
    assert not (entry / "release").exists()  # the entry is another one
    assert only_the_template_lies_there(entry)


@pytest.mark.parametrize("damage", [change_memory, truncate_memory, delete_all])
@pytest.mark.fault(
    phase="cell", fault="entry damaged", outcome="that clone gives no answer; the template is made anew"
)
def test_one_that_is_damaged_while_a_clone_runs_costs_that_clone_and_is_made_anew(
    whole: Template, entry: Path, bootable: Bootable, damage: Damage
) -> None:
    remember_release(entry, bootable)
    template = opened(entry, whole)
    assert answer(template) == bootable.files.version
    with template.start() as guest:
        damage(entry)
        with pytest.raises(LostGuest):
            release(guest)
    assert answer(template) == bootable.files.version
    assert only_the_template_lies_there(entry)


@pytest.fixture
def upgrade(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], None]]:
    """Puts another program in QEMU's place, which calls the real one."""
    real, program = qemu_binary.find_qemu().path, tmp_path / "bin" / qemu_binary.BINARY

    def install() -> None:
        new = program.with_name("new")
        new.write_text(f'#!/bin/sh\nexec {real} "$@"\n{"#" * number.pop()}')
        new.chmod(0o755)
        new.rename(program)

    number = [2, 1]
    program.parent.mkdir()
    install()
    monkeypatch.setenv("PATH", str(program.parent), prepend=":")
    qemu_binary.first_found.cache_clear()
    yield install
    monkeypatch.undo()
    qemu_binary.first_found.cache_clear()


@pytest.mark.fault(phase="boot", fault="QEMU replaced", outcome="a new template is made")
def test_another_qemu_does_not_load_what_the_old_one_saved(
    upgrade: Callable[[], None], bootable: Bootable, image: Image, tmp_path: Path
) -> None:
    cache = Cache(tmp_path / "cache")
    old = make_template(bootable, image, TCG, ECHO, cache, Hardware())
    with old.start() as guest:
        upgrade()
        assert release(guest) == bootable.files.version  # the QEMU that was started goes on
    with pytest.raises(HostError, match="was upgraded during the run"):
        answer(old)
    qemu_binary.first_found.cache_clear()  # as another process finds it
    new = make_template(bootable, image, TCG, ECHO, cache, Hardware())
    assert new.path != old.path
    assert answer(new) == bootable.files.version
    shutil.rmtree(cache.root)
