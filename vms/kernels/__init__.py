"""Kernels: what they are called, where they come from, and how they get here verified."""

from vms.kernels.catalogue import Catalogue
from vms.kernels.fetch import cached, fetch
from vms.kernels.kernel import BootFiles, Kernel, Package
from vms.kernels.resolve import resolve, resolve_all

__all__ = ["BootFiles", "Catalogue", "Kernel", "Package", "cached", "fetch", "resolve", "resolve_all"]
