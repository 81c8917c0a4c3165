from __future__ import annotations

import shlex
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from vms.command import Accelerator, Machine, Memory, command_line, render, words
from vms.hardware import Hardware
from vms.qemu_binary import Binary

QEMU = Binary("qemu", "7.2", "7.2 of a test")


def test_every_group_has_a_reason_and_words(machine: Machine) -> None:
    for group in command_line(QEMU, machine, Path("/run/guest")):
        assert group.reason
        assert group.words


def test_no_network_and_nothing_of_the_hosts(machine: Machine) -> None:
    line = words(command_line(QEMU, machine, Path("/run/guest")))
    assert "-nodefaults" in line
    assert "-no-user-config" in line
    assert not [word for word in line if "net" in word]


def test_sockets_and_console_lie_in_the_private_directory(machine: Machine) -> None:
    text = " ".join(words(command_line(QEMU, machine, Path("/run/guest"))))
    for name in ("ssh", "agent", "qmp", "console"):
        assert f"path=/run/guest/{name}" in text


def test_a_debugger_can_connect_only_if_asked_for_and_in_the_private_directory(machine: Machine) -> None:
    assert "-gdb" not in words(command_line(QEMU, machine, Path("/run/guest")))
    line = words(command_line(QEMU, replace(machine, debugged=True), Path("/run/guest")))
    assert line[line.index("-gdb") + 1] == "chardev:gdb"
    assert "socket,id=gdb,path=/run/guest/gdb,server=on,wait=off" in line


def test_devices_that_this_qemu_can_do_without_are_left_out(machine: Machine) -> None:
    line = words(command_line(replace(QEMU, left_out=("sata=off", "i8042=off")), machine, Path("/run/guest")))
    assert line[line.index("-machine") + 1] == "q35,memory-backend=memory,hpet=off,sata=off,i8042=off"


def test_only_a_clone_waits_for_a_state(machine: Machine) -> None:
    assert "-incoming" not in words(command_line(QEMU, machine, Path("/g")))
    template = replace(machine, memory_file=Memory(Path("/t/memory"), shared=True))
    clone = replace(machine, memory_file=Memory(Path("/t/memory"), shared=False))
    assert "-incoming" not in words(command_line(QEMU, template, Path("/g")))
    assert words(command_line(QEMU, clone, Path("/g")))[-2:] == ["-incoming", "defer"]
    assert not template.clone
    assert clone.clone


def test_a_template_writes_its_memory_and_a_clone_does_not(machine: Machine) -> None:
    def memory(shared: bool) -> str:
        line = words(
            command_line(QEMU, replace(machine, memory_file=Memory(Path("/t/memory"), shared)), Path("/g"))
        )
        return next(word for word in line if "mem-path" in word)

    assert memory(True) == "memory-backend-file,id=memory,size=8M,mem-path=/t/memory,share=on"
    assert memory(False) == "memory-backend-file,id=memory,size=8M,mem-path=/t/memory,share=off"


def test_commas_in_paths_are_qemus_to_double(machine: Machine) -> None:
    line = words(command_line(QEMU, replace(machine, image=Path("/a,b/image")), Path("/run/c,d")))
    assert any("file.filename=/a,,b/image" in word for word in line)
    assert any("path=/run/c,,d/qmp" in word for word in line)


def test_the_printed_command_runs_in_bash_with_the_words_of_the_real_one(
    machine: Machine, tmp_path: Path
) -> None:
    program = tmp_path / "print words"
    program.write_text('#!/bin/sh\nprintf "%s\\n" "$0" "$@"\n')
    program.chmod(0o755)
    odd = replace(machine, image=Path("/with space/it's"))
    groups = command_line(replace(QEMU, path=str(program)), odd, Path("/run/guest"))
    done = subprocess.run(["bash", "-c", render(groups)], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == words(groups)


def test_the_printed_command_has_each_reason_above_its_words(machine: Machine) -> None:
    groups = command_line(QEMU, machine, Path("/run/guest"))
    lines = [line.strip() for line in render(groups).splitlines()]
    for group in groups:
        assert lines[lines.index(f"# {group.reason}") + 1] == shlex.join(group.words)


def test_accelerator_and_cpu_are_as_chosen(machine: Machine) -> None:
    line = words(
        command_line(QEMU, replace(machine, accelerator=Accelerator("kvm", "host", "proven")), Path("/g"))
    )
    assert line[line.index("-accel") + 1] == "kvm"
    assert line[line.index("-cpu") + 1] == "host"


@pytest.mark.parametrize(
    ("accelerator", "avx2", "cpu"),
    [
        ("tcg", "", "model"),
        ("tcg", "off", "model"),
        ("tcg", "on", "max,-cx16"),
        ("kvm", "", "model"),
        ("kvm", "off", "model,-avx2"),
        ("kvm", "on", "model"),
    ],
)
def test_a_guest_has_avx2_or_not(machine: Machine, accelerator: str, avx2: str, cpu: str) -> None:
    asked = replace(
        machine, accelerator=Accelerator(accelerator, "model", "given"), hardware=Hardware(avx2=avx2)
    )
    line = words(command_line(QEMU, asked, Path("/g")))
    assert line[line.index("-cpu") + 1] == cpu


def test_the_code_that_a_guest_may_have_translated_is_bounded(machine: Machine) -> None:
    line = words(command_line(QEMU, machine, Path("/g")))
    assert line[line.index("-accel") + 1] == "tcg,tb-size=128"
