"""From what a user writes to the kernels it means."""

from __future__ import annotations

from vms.errors import UsageError
from vms.kernels.catalogue import Catalogue
from vms.kernels.kernel import Kernel


def resolve(text: str, catalogue: Catalogue) -> tuple[Kernel, ...]:
    """The kernels that the spec means, in kernel order. Raises UsageError for a spec that is malformed or names nothing."""
    newest = catalogue.newest(text)
    if newest:
        return (newest,)
    found = tuple(k for k in catalogue.kernels if k.flavour == "cloud" and k.release == text)
    if not found:
        raise UsageError(f"no kernel {text!r}; there are {', '.join(catalogue.series())}")
    return found
