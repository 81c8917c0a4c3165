"""Kernels and projects from text, as the command line would make them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from matrix.plan.config import Config
from matrix.plan.project import Project
from vms.cache import Cache
from vms.kernels.catalogue import Catalogue
from vms.kernels.kernel import Kernel
from vms.kernels.select import select
from vms.kernels.spec import Spec, parse
from vms.settings import Debian

ROOT = Path(__file__).parents[2]


def specs_of(texts: Iterable[str]) -> list[Spec]:
    return [parse(text) for text in texts]


def kernels_of(texts: Iterable[str], catalogue: Catalogue, base: Path = Path()) -> tuple[Kernel, ...]:
    """The kernels that the specs mean, without asking an archive."""
    return select(specs_of(texts), catalogue, base).kernels


def project_with(cache: Cache, debian: Debian | None = None) -> Project:
    """This checkout with another cache and the default configuration."""
    return Project(ROOT, Config(debian=debian or Debian()), cache)
