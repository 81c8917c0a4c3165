"""Kernels, guests and experiments that misbehave: each cell ends as what it is, with a message that
says so, and nothing is left of its guest.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from matrix.plan.plan import Cell
from matrix.results.judge import Judged, verdict
from matrix.results.record import Status
from matrix.run.cell import Question, ask
from tests.support.fakes import make_experiment
from vms.agent import Agent
from vms.cache import Cache
from vms.capacity import children
from vms.command import Accelerator, Machine
from vms.deadline import Deadline
from vms.errors import LostGuest
from vms.guest import running
from vms.hardware import Hardware
from vms.image import Image
from vms.initramfs import Bootable
from vms.template import Template, make_template

pytestmark = [pytest.mark.guest, pytest.mark.parametrize("bootable", ["6.12"], indirect=True)]
HERE = Path(__file__).parent
AGENT = Agent(HERE.parents[1] / "guest", "guest.agent", HERE / "misbehaving")
TCG = Accelerator("tcg", "qemu64,+rdrand,-cx16", "a guest misbehaves the same with any")
ENOUGH, SHORT = 40.0, 3.0  # for what ends by itself, and for what does not


@pytest.fixture(scope="module")
def machine(bootable: Bootable, image: Image) -> Machine:
    files = bootable.files
    return Machine(TCG, Hardware(), files.vmlinuz, bootable.initramfs, image.squashfs, bootable.modules)


@pytest.fixture(scope="module")
def template(bootable: Bootable, image: Image, cache: Cache) -> Template:
    made = make_template(bootable, image, TCG, AGENT, cache, Hardware())
    assert made.cold == ""
    return made


@pytest.fixture(autouse=True)
def own_directory(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[None]:
    """A temporary directory where no other program of this machine starts guests."""
    tmp_path_factory.getbasetemp()  # pytest makes it when it is asked first, in the directory of then
    with tempfile.TemporaryDirectory() as directory:
        monkeypatch.setattr(tempfile, "tempdir", directory)
        yield


def guests() -> set[str]:
    """The private directories of all guests of these tests, and their QEMUs."""
    directories = {path.name for path in Path(tempfile.gettempdir()).glob("conntrack-matrix-*")}
    return directories | {str(pid) for pid in children()}


def asked(template: Template, bootable: Bootable, name: str, seconds: float = ENOUGH) -> Judged:
    """The result of one attempt at a cell."""
    cell = Cell(bootable.files.kernel, make_experiment(name, {"done": bool}), {})
    return verdict(cell, ask(template, Question(name, name, {}, seconds)), 1)


@pytest.mark.fault(phase="cell", fault="guest crashes", outcome="`crash`, in the kernel's words")
@pytest.mark.fault(phase="cell", fault="guest silent", outcome="an agent that was killed is an `error`")
@pytest.mark.fault(phase="cell", fault="guest floods", outcome="`timeout` or `error`; all is cut")
@pytest.mark.fault(phase="cell", fault="guest floods its console", outcome="`timeout`; all is cut")
@pytest.mark.fault(phase="cell", fault="guest answers garbage", outcome="`error`")
@pytest.mark.fault(phase="cell", fault="guest truncates its answer", outcome="`error`")
@pytest.mark.fault(phase="cell", fault="experiment never ends", outcome="`timeout`")
@pytest.mark.fault(phase="cell", fault="experiment forks without end", outcome="`timeout`")
@pytest.mark.fault(phase="cell", fault="experiment takes all memory or disk", outcome="`error` that says so")
@pytest.mark.parametrize(
    ("name", "status", "said"),
    [
        ("behaves", Status.PASS, "^$"),
        ("panics", Status.CRASH, "^Kernel panic - not syncing: sysrq triggered crash in sysrq_handle_crash$"),
        ("is-silent", Status.PASS, "^$"),
        ("kills-the-agent", Status.ERROR, "cannot answer: its agent is gone"),
        ("loops", Status.TIMEOUT, "^loops did not end within 3 s$"),
        ("forks", Status.TIMEOUT, "^forks did not end within 3 s$"),
        ("fills-memory", Status.ERROR, "ended without an answer, wait status 9$"),
        ("fills-the-disk", Status.ERROR, r"No space left on device$"),
        ("prints", Status.TIMEOUT, "^prints did not end within 3 s$"),
        ("prints-on-the-console", Status.TIMEOUT, "^prints-on-the-console did not end within 3 s$"),
        ("answers-too-little", Status.ERROR, "answer cannot be used: Input data was truncated"),
        ("answers-too-much", Status.ERROR, "answered more than 15728640 bytes"),
        ("answers-deeply", Status.ERROR, "answer cannot be used"),
        ("answers-nonsense", Status.ERROR, "answer cannot be used: JSON is malformed"),
        ("lies-about-its-name", Status.ERROR, "evidence cannot be called 'record.json'"),
    ],
)
def test_a_cell_that_misbehaves_ends_as_what_it_is_and_leaves_nothing(
    template: Template,
    bootable: Bootable,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    status: Status,
    said: str,
) -> None:
    monkeypatch.setattr("matrix.run.cell._ANSWER_GRACE", 20.0)
    monkeypatch.setattr("vms.guest._SILENT_SECONDS", 0.5)  # so that an agent which is there is asked after
    before = guests()
    record = asked(template, bootable, name, SHORT if status is Status.TIMEOUT else ENOUGH).record
    assert record.status is status
    assert re.search(said, record.reason.strip())
    assert guests() <= before


def test_a_kernel_that_starts_tainted_says_so(
    template: Template, bootable: Bootable, image: Image, cache: Cache
) -> None:
    assert template.boot.lines == ()
    agent = Agent(HERE / "echo", "echo.tainted")
    for _ in ("booted", "from the cache"):
        tainted = make_template(bootable, image, TCG, agent, cache, Hardware())
        assert tainted.boot.lines == ("tainted W: the kernel warned",)


@pytest.mark.fault(phase="boot", fault="guest crashes", outcome="an error in the kernel's words")
def test_a_kernel_without_a_root_file_system_says_so(machine: Machine, tmp_path: Path) -> None:
    nothing = tmp_path / "initramfs"
    nothing.write_bytes(bytes(512))
    with (
        pytest.raises(LostGuest, match=r"its kernel ended: Kernel panic - not syncing: .*root fs"),
        running(replace(machine, initramfs=nothing), "no root") as guest,
    ):
        guest.ping(Deadline(100, "it to boot"))


@pytest.mark.fault(phase="boot", fault="guest silent", outcome="an error at the deadline; nothing is left")
def test_a_kernel_that_never_reaches_user_space_costs_its_deadline(machine: Machine, tmp_path: Path) -> None:
    kernel = bytearray(machine.vmlinuz.read_bytes())
    entry = (kernel[0x1F1] + 1) * 512  # Documentation/arch/x86/boot.rst: setup_sects
    kernel[entry : entry + 2] = b"\xeb\xfe"  # jmp to itself
    (tmp_path / "vmlinuz").write_bytes(kernel)
    before = guests()
    with (
        pytest.raises(
            LostGuest, match=r"^no user space: its SSH port did not answer within 2 s \(it to boot\)"
        ),
        running(replace(machine, vmlinuz=tmp_path / "vmlinuz"), "no user space") as guest,
        guest.ssh(Deadline(2, "it to boot")),
    ):
        pytest.fail("it answered")
    assert guests() <= before


@pytest.mark.fault(phase="boot", fault="guest ends", outcome="an error that says so")
def test_half_a_kernel_ends_its_guest_and_that_is_said(machine: Machine, tmp_path: Path) -> None:
    (tmp_path / "vmlinuz").write_bytes(machine.vmlinuz.read_bytes()[: 1 << 20])
    with (
        pytest.raises(LostGuest, match=r"^half a kernel: .*; QEMU ended with status 0"),
        running(replace(machine, vmlinuz=tmp_path / "vmlinuz"), "half a kernel") as guest,
        guest.ssh(Deadline(60, "it to boot")),
    ):
        pytest.fail("it answered")
