from __future__ import annotations

import json
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from matrix.plan.config import Config, ImageConfig
from matrix.plan.plan import make_plan
from matrix.run.forecast import CELL_SECONDS
from matrix.run.machines import Machines
from tests.support.fakes import make_experiment, make_kernel
from tests.support.specs import project_with
from vms.cache import Cache
from vms.errors import HostError, UsageError
from vms.image import Image
from vms.kernels.kernel import Kernel

IMAGE = Image(Path("root.squashfs"), Path("busybox"), "ab" * 32, {"conntrack": "1.4.8-2"})


@pytest.fixture
def machines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, emulated: None) -> Machines:
    monkeypatch.setattr("matrix.run.machines.build_image", lambda *_: IMAGE)
    return Machines(project_with(Cache(tmp_path)))


def test_an_unknown_accelerator_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"--accel 'kv': did you mean kvm\?"):
        Machines(project_with(Cache(tmp_path)), "kv")


def test_what_all_guests_share_goes_into_the_manifest(machines: Machines) -> None:
    around = machines.prepare([make_kernel("6.1.2")])
    assert (around.image, around.qemu, around.accelerator, around.why) == (
        "ab" * 32,
        "7.2.22",
        "tcg",
        "there is no /dev/kvm",
    )
    assert around.image_packages == {"conntrack": "1.4.8-2"}
    assert around.agent
    assert around.cpu


def test_guests_have_the_packages_that_matrix_toml_names(
    machines: Machines, monkeypatch: pytest.MonkeyPatch
) -> None:
    built: list[tuple[str, ...]] = []

    def build(*given: Any) -> Image:
        built.append(given[-1])
        return IMAGE

    monkeypatch.setattr("matrix.run.machines.build_image", build)
    named = Config(image=ImageConfig(("socat", "iperf3", "socat")))
    Machines(replace(machines.project, config=named)).prepare([make_kernel("6.1.2")])
    assert built == [("iperf3", "socat")]


def test_kernels_that_are_not_held_are_fetched_while_the_image_is_built(
    machines: Machines, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetched = threading.Event()

    def fetch(self: Machines, kernel: Kernel) -> None:
        assert kernel.name == "6.1.2"
        fetched.set()

    def build(*_: Any) -> Image:
        assert fetched.wait(60), "nothing is fetched while the image is built"
        return IMAGE

    monkeypatch.setattr(Machines, "fetch", fetch)
    monkeypatch.setattr("matrix.run.machines.build_image", build)
    monkeypatch.setattr("matrix.run.machines.cached", lambda kernel, _cache: kernel.name != "6.1.2")
    machines.prepare([make_kernel("5.10.1"), make_kernel("6.1.2")])


@pytest.mark.fault(phase="download", fault="download fails", outcome="the run tries it again and reports it")
def test_a_fetch_that_fails_ahead_is_left_to_the_run(
    machines: Machines, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fetch(self: Machines, kernel: Kernel) -> None:
        raise HostError("no network")

    monkeypatch.setattr(Machines, "fetch", fetch)
    assert machines.prepare([make_kernel("6.1.2")]).accelerator == "tcg"


@pytest.mark.fault(phase="image", fault="building fails", outcome="fetching ends too")
def test_when_the_image_cannot_be_built_fetching_ends_as_well(
    machines: Machines, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupted = threading.Event()

    def build(*_: Any) -> Image:
        raise HostError("no space left")

    monkeypatch.setattr("matrix.run.machines.interrupt", interrupted.set)
    monkeypatch.setattr(Machines, "fetch", lambda *_: interrupted.wait(60))
    monkeypatch.setattr("matrix.run.machines.build_image", build)
    with pytest.raises(HostError, match="no space left"):
        machines.prepare([make_kernel("6.1.2")])
    assert interrupted.is_set()


@pytest.mark.parametrize(("run", "seconds"), [("20260102-000000", 8.0), ("reference", CELL_SECONDS)])
def test_what_the_published_run_took_elsewhere_is_no_forecast_for_this_machine(
    machines: Machines, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: str, seconds: float
) -> None:
    monkeypatch.setattr("matrix.run.machines.cached", lambda *_: True)
    monkeypatch.setattr("matrix.run.machines.held_image", lambda _cache, _more: IMAGE)
    (tmp_path / run).mkdir()
    record = {"experiment": "known", "variant": {}, "status": "pass", "seconds": 8.0}
    (tmp_path / run / "results.json").write_text(json.dumps([record]))
    (tmp_path / run / "manifest.json").write_text(json.dumps({"started": "2026-01-02"}))
    plan = make_plan([make_kernel("6.1.2")], [make_experiment("known")])
    assert machines.forecast(plan, tmp_path, 1).seconds == seconds
