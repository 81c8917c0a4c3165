from __future__ import annotations

import pytest

from vms.command import Accelerator
from vms.qemu_binary import Binary


@pytest.fixture
def emulated(monkeypatch: pytest.MonkeyPatch) -> None:
    """Machines find a QEMU, and no KVM."""
    monkeypatch.setattr(
        "matrix.run.machines.find_qemu", lambda: Binary("/usr/bin/qemu", "7.2.22", "7.2.22 1 2")
    )
    monkeypatch.setattr(
        "matrix.run.machines.choose_accelerator",
        lambda *_: Accelerator("tcg", "qemu64", "there is no /dev/kvm"),
    )
