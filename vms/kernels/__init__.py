"""Kernels: what they are called, where they come from, and how they get here verified."""

from vms.kernels.catalogue import Catalogue
from vms.kernels.fetch import cached, fetch
from vms.kernels.gone import at_hand
from vms.kernels.kernel import BootFiles, Kernel, Package
from vms.kernels.resolve import left_out, left_out_text, resolve, resolve_all

__all__ = [
    "BootFiles",
    "Catalogue",
    "Kernel",
    "Package",
    "at_hand",
    "cached",
    "fetch",
    "left_out",
    "left_out_text",
    "resolve",
    "resolve_all",
]
