"""A Dask site, the guests of its workers, and the image that they get."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.dask_runs import MakeImage
from tests.support.dask_site import Site
from tests.support.fake_worker import FakeSource
from vms.image import image_at


@pytest.fixture
def site() -> Iterator[Site]:
    with ExitStack() as held:
        yield Site(held)


@pytest.fixture
def source(tmp_path: Path) -> FakeSource:
    (tmp_path / "asked").mkdir()
    return FakeSource(tmp_path / "asked")


@pytest.fixture(autouse=True)
def _new_user(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Gives every machine an empty cache, and all of them one new certificate."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.mktemp("config")))


@pytest.fixture
def image(tmp_path_factory: pytest.TempPathFactory) -> MakeImage:
    """Returns the image of the machine that starts the run."""
    built = tmp_path_factory.mktemp("image")
    (built / "root.squashfs").write_bytes(b"userland")
    (built / "busybox").write_bytes(b"busybox")
    (built / "image.json").write_text(
        json.dumps({"sha256": hashlib.sha256(b"userland").hexdigest(), "packages": {}})
    )
    return lambda: image_at(built)
