from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest

from vms import image
from vms.cache import Cache
from vms.errors import HostError
from vms.image import Image, image_at
from vms.image_copy import copy_image, receive_image

CONTENT = {"root.squashfs": b"userland", "busybox": b"busybox"}
SHA256 = hashlib.sha256(b"userland").hexdigest()


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache")


def built(directory: Path) -> Image:
    directory.mkdir(parents=True)
    for name, content in CONTENT.items():
        (directory / name).write_bytes(content)
    (directory / "image.json").write_text(json.dumps({"sha256": SHA256, "packages": {"conntrack": "1"}}))
    return image_at(directory)


def test_a_received_image_equals_the_sent_one(cache: Cache, tmp_path: Path) -> None:
    received = receive_image(copy_image(built(tmp_path / "built")), cache)
    assert received.squashfs.read_bytes() == b"userland"
    assert received.busybox.stat().st_mode & 0o777 == 0o755
    assert (received.sha256, received.packages) == (SHA256, {"conntrack": "1"})
    assert received.squashfs.is_relative_to(cache.root)


def test_an_image_that_this_machine_built_is_not_received_again(cache: Cache, tmp_path: Path) -> None:
    own = built(cache.path("images", image.image_key()))
    assert receive_image(copy_image(built(tmp_path / "built")), cache) == own
    assert len(list((cache.root / "images").iterdir())) == 1


@pytest.mark.fault(phase="workers", fault="image damaged on its way", outcome="it is refused")
def test_a_damaged_copy_of_an_image_is_refused(cache: Cache, tmp_path: Path) -> None:
    copy = copy_image(built(tmp_path / "built"))
    with pytest.raises(HostError, match="receiving the guests' image"):
        receive_image(replace(copy, files={**copy.files, "root.squashfs": b"userlanD"}), cache)
