from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from matrix.run import virtme
from matrix.run.machines import Machines
from matrix.run.virtme import VirtmeMachines, check_backend, machines_of
from tests.support.fakes import make_kernel
from tests.support.specs import project_with
from vms.cache import Cache
from vms.errors import HostError, UsageError
from vms.hardware import Hardware
from vms.image import Image
from vms.kernels.kernel import BootFiles, Kernel
from vms.kernels.requirements import VIRTME_OPTIONS
from vms.virtme import VirtmeTemplate

HOST = Image(Path(), Path(), "cd" * 32, {"nft": "nftables v1.0.6"})
MINE = replace(make_kernel("6.1.2"), name="mine", id="tree:/mine=1", flavour="mine")


def test_a_cache_that_guests_would_not_see_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(virtme, "host_userland", lambda: HOST)
    with pytest.raises(HostError, match=r"a /run of their own, and do not see /run/cache"):
        VirtmeMachines(project_with(Cache(Path("/run/cache"))))


@pytest.fixture
def machines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, emulated: None) -> VirtmeMachines:
    monkeypatch.setattr(virtme, "host_userland", lambda: HOST)
    monkeypatch.setattr(virtme, "check_seen", lambda *_: None)
    monkeypatch.setattr("matrix.run.machines.cached", lambda *_: True)
    return VirtmeMachines(project_with(Cache(tmp_path)))


def holds(monkeypatch: pytest.MonkeyPatch, directory: Path, config: str) -> None:
    """Lets kernels have this configuration, and no modules."""
    (directory / "modules.dep").touch()
    (directory / "modules.builtin").touch()
    (directory / "config").write_text(config)

    def fetch(kernel: Kernel, *_: object, **__: object) -> BootFiles:
        return BootFiles(kernel, "6.1.2", directory / "vmlinuz", directory, directory / "config", {})

    monkeypatch.setattr("matrix.run.machines.fetch", fetch)


ALL = "".join(f"CONFIG_{option}=y\n" for option in VIRTME_OPTIONS)


def test_the_manifest_says_that_the_userland_is_the_hosts(
    machines: VirtmeMachines, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    holds(monkeypatch, tmp_path, ALL)
    around = machines.prepare([MINE])
    assert around.backend == "virtme"
    assert around.image == "cd" * 32
    assert around.image_packages == {"nft": "nftables v1.0.6"}
    assert isinstance(machines.template(machines.fetch(MINE), Hardware()), VirtmeTemplate)


def test_debians_cloud_flavour_is_refused_before_it_is_fetched(
    machines: VirtmeMachines, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("matrix.run.machines.fetch", lambda *_, **__: pytest.fail("it is fetched"))
    cloud = make_kernel("6.1.2")
    assert (cloud.scheme, cloud.flavour) == ("debian", "cloud")
    with pytest.raises(UsageError, match=r"^6\.1\.2: Debian's flavour `cloud` has no 9p.*`-k 6\.1-generic`"):
        machines.prepare([MINE, cloud])


def test_a_kernel_without_9p_is_refused_with_each_option_that_it_lacks(
    machines: VirtmeMachines, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    holds(monkeypatch, tmp_path, ALL.replace("CONFIG_9P_FS=y\n", ""))
    with pytest.raises(UsageError, match=r"(?s)--backend virtme: mine .*lacks\n +CONFIG_9P_FS, for the host"):
        machines.prepare([MINE])


def test_a_kernel_without_what_only_an_image_takes_is_accepted(
    machines: VirtmeMachines, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "SQUASHFS" not in VIRTME_OPTIONS
    holds(monkeypatch, tmp_path, ALL)
    assert machines.fetch(MINE).version == "6.1.2"


def test_a_backend_is_qemu_or_virtme(machines: VirtmeMachines) -> None:
    assert isinstance(machines_of("qemu", machines.project), Machines)
    assert isinstance(machines_of("virtme", machines.project), VirtmeMachines)
    check_backend("virtme")
    with pytest.raises(UsageError, match="--backend 'quemu': did you mean qemu"):
        check_backend("quemu")
