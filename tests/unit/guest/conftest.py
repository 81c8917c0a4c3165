from __future__ import annotations

from typing import Any

import pytest

from tests.support.recorded import KERNELS, recorded


@pytest.fixture(params=KERNELS)
def kernel(request: pytest.FixtureRequest) -> dict[str, Any]:
    """A real kernel's answers, one after the other."""
    return recorded(request.param)
