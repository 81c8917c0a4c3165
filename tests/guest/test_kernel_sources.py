"""A kernel boots and answers whatever source it came from: the same real one as .deb, .rpm and
image, and one built from source.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from matrix.run.machines import Machines
from tests.support.small_kernel import LOCAL_VERSION, small_kernel
from tests.support.specs import kernels_of, project_with
from vms.cache import Cache
from vms.deadline import Deadline
from vms.errors import Unbootable
from vms.hardware import Hardware
from vms.kernels.apt import download
from vms.kernels.catalogue import Catalogue
from vms.kernels.fetch import fetch
from vms.kernels.kernel import BootFiles, Kernel
from vms.settings import Debian

pytestmark = pytest.mark.guest


@pytest.fixture(scope="module")
def debian(cache: Cache) -> Kernel:
    """The kernel that each package format is made from."""
    (kernel,) = kernels_of(["6.1"], Catalogue.load(Debian(), cache))
    return kernel


def ask(machines: Machines, kernel: Kernel, request: dict[str, object]) -> dict[str, object]:
    """Boots the kernel, or takes its template, and what the agent in a guest answers to one
    request.
    """
    whole = {"id": "0", "time": time.time(), "entropy": os.urandom(32).hex(), **request}
    with machines.template(machines.fetch(kernel), Hardware()).start() as guest:
        answer = json.loads(guest.ask(json.dumps(whole).encode(), Deadline(60, "the answer")).whole)
    assert isinstance(answer, dict)
    return answer


def release(cache: Cache, kernel: Kernel) -> object:
    return ask(Machines(project_with(cache)), kernel, {"do": "ping"})["release"]


def rpm_of(files: BootFiles, directory: Path) -> Path:
    """The kernel as an .rpm file in Fedora's layout."""
    content = directory / "content/lib/modules" / files.version
    shutil.copytree(files.modules, content)
    shutil.copy(files.vmlinuz, content / "vmlinuz")
    assert files.config
    shutil.copy(files.config, content / "config")
    upstream = files.kernel.release
    spec = directory / "kernel.spec"
    spec.write_text(
        f"Name: kernel-core\nVersion: {upstream}\nRelease: 1\nSummary: a kernel\nLicense:"
        " GPL-2.0-only\nAutoReqProv: no\n%global debug_package %{nil}\n%global __os_install_post"
        " %{nil}\n%define _binary_payload w3.zstdio\n%description\na kernel\n%install\ncp -a"
        f" {directory}/content/. %{{buildroot}}\n%files\n/lib/modules\n"
    )
    build = [
        "rpmbuild",
        "--quiet",
        "-bb",
        "--target",
        "x86_64",
        *("--define", f"_topdir {directory}/rpmbuild"),
        *("--define", "_rpmformat 4"),  # rpm 6 has a newer default
        str(spec),
    ]
    subprocess.run(build, check=True, capture_output=True)
    (path,) = (directory / "rpmbuild/RPMS").glob("*/*.rpm")
    return path


def test_deb(cache: Cache, debian: Kernel, tmp_path: Path) -> None:
    (package,) = debian.packages
    deb = tmp_path / "kernel.deb"
    download(package, deb)
    (kernel,) = kernels_of([f"deb:{deb}"], Catalogue(()))
    assert kernel.release == debian.release
    assert release(cache, kernel) == fetch(debian, cache).version


def test_rpm(cache: Cache, debian: Kernel, tmp_path: Path) -> None:
    files = fetch(debian, cache)
    (kernel,) = kernels_of([f"rpm:{rpm_of(files, tmp_path)}"], Catalogue(()))
    assert kernel.release == debian.release
    assert release(cache, kernel) == files.version


def test_image(cache: Cache, debian: Kernel) -> None:
    files = fetch(debian, cache)
    (kernel,) = kernels_of([f"image:{files.vmlinuz},modules={files.modules}"], Catalogue(()))
    assert kernel.version == files.version
    assert release(cache, kernel) == files.version


def test_image_without_what_it_needs_is_not_booted(cache: Cache, debian: Kernel, tmp_path: Path) -> None:
    files = fetch(debian, cache)
    vmlinuz = tmp_path / f"vmlinuz-{files.version}"
    shutil.copy(files.vmlinuz, vmlinuz)
    assert files.config
    shutil.copy(files.config, tmp_path / f"config-{files.version}")
    (kernel,) = kernels_of([f"image:{vmlinuz}"], Catalogue(()))
    with pytest.raises(
        Unbootable, match=r"CONFIG_VIRTIO_BLK=m.*the module virtio_blk is not among its modules"
    ):
        Machines(project_with(cache)).fetch(kernel)


def test_tree(cache: Cache) -> None:
    (kernel,) = kernels_of([f"mine=tree:{small_kernel(cache)}"], Catalogue(()))
    machines = Machines(project_with(cache))
    running = str(ask(machines, kernel, {"do": "ping"})["release"])
    assert running.startswith(kernel.release)
    assert running.endswith(LOCAL_VERSION)


def test_a_kernel_without_nf_tables_says_so_in_its_own_words(cache: Cache) -> None:
    (kernel,) = kernels_of([f"mine=tree:{small_kernel(cache)}"], Catalogue(()))
    machines = Machines(project_with(cache))
    run = {"do": "run", "experiment": "baseline", "seconds": 60}
    answer = ask(machines, kernel, {**run, "variant": {"frontend": "nft", "scope": "user"}})
    assert answer["outcome"] == "unsupported"
    assert "nf_tables" in str(answer["reason"])
    answer = ask(machines, kernel, {**run, "variant": {"frontend": "legacy", "scope": "user"}})
    assert answer["outcome"] == "answered"
