"""What all tests on real kernels share with the user's own runs: cache, image, kernels."""

from __future__ import annotations

import pytest

from tests.support.specs import kernels_of
from vms.cache import Cache
from vms.deadline import Deadline
from vms.image import Image, build_image
from vms.initramfs import Bootable, prepare
from vms.kernels.catalogue import Catalogue
from vms.kernels.fetch import fetch
from vms.settings import Debian


@pytest.fixture(scope="session")
def cache() -> Cache:
    return Cache.default()


@pytest.fixture(scope="session")
def image(cache: Cache) -> Image:
    return build_image(cache, Debian(), Deadline(1200, "building the guests' image"))


@pytest.fixture(scope="module")
def bootable(request: pytest.FixtureRequest, cache: Cache, image: Image) -> Bootable:
    """The newest kernel of the series that the module's mark `parametrize` names."""
    (kernel,) = kernels_of([request.param], Catalogue.load(Debian(), cache))
    return prepare(fetch(kernel, cache), image, cache, Deadline(120, "making the initramfs"))
