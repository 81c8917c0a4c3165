"""Wherever a disk is full, the user reads so, nothing half made is published, and there is nothing
to clean up before it goes on.
"""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.support.disks import ALLOWED, on_a_disk_of
from tests.support.packages import Repository, image_deb
from vms.initramfs import NEEDED

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not ALLOWED, reason="this host allows no user namespaces, so nothing can be mounted"),
]


# On its way a kernel needs room for the package lists, apt's cache of them, the package (1.1 MB),
# what is in it, and modules.dep. With few inodes the disk is full already for directories, locks
# and empty files.
@pytest.mark.parametrize(
    "room",
    [
        *(f"size={size}" for size in ("4k", "64k", "1m", "1600k", "2200k")),
        *(f"nr_inodes={number}" for number in (2, 3, 4, 5, 6, 7, 8, 15, 16, 17, 18, 19, 24)),
    ],
)
@pytest.mark.fault(
    phase="download",
    fault="disk full",
    outcome="one message that names `./invoke prune`; nothing is published; with room it is fetched",
)
@pytest.mark.fault(
    phase="package lists",
    fault="disk full",
    outcome="one message that names `./invoke prune`; with room they are fetched",
)
@pytest.mark.fault(
    phase="unpack",
    fault="disk full",
    outcome="one message that names `./invoke prune`; nothing is published; with room it is unpacked",
)
def test_a_full_disk_while_fetching_a_kernel_is_reported_and_leaves_nothing(
    repository: Repository, tmp_path: Path, room: str
) -> None:
    repository.add(image_deb(tmp_path, "6.12.117+deb13", "6.12.117-1"))
    repository.publish()
    full, published, then = on_a_disk_of(
        room, "kernel", tmp_path / "disk", repository.url, repository.key.public
    )
    assert full.startswith(("HostError: ", "FetchError: "))
    assert "no space left" in full
    assert "`./invoke prune`" in full
    assert published == []
    assert then == "made"


@pytest.mark.parametrize("size", ["4k", "150k", "300k"])
@pytest.mark.fault(
    phase="initramfs",
    fault="disk full",
    outcome="one message that names `./invoke prune`; nothing is published; with room it is made",
)
def test_a_full_disk_while_making_an_initramfs_is_reported_and_leaves_nothing(
    tmp_path: Path, size: str
) -> None:
    modules = tmp_path / "lib/modules/6.1.0-cloud"
    modules.mkdir(parents=True)
    (modules / "modules.dep").write_text("")
    (modules / "modules.builtin").write_text("".join(f"kernel/{name}.ko\n" for name in NEEDED))
    (modules / "large.ko").write_bytes(random.Random(1).randbytes(300_000))
    full, published, then = on_a_disk_of(f"size={size}", "initramfs", tmp_path / "disk", modules, "/bin/true")
    assert full.startswith("HostError: ")
    assert "no space left" in full
    assert "`./invoke prune`" in full
    assert published == []
    assert then == "made"
