"""A cell that does nothing, to measure what every cell costs."""

from __future__ import annotations

from guest.catalogue import Fact, FactDict, experiment
from guest.lab.lab import Lab


@experiment(
    facts=[Fact("nothing", bool, "always true")], variants={"number": [str(number) for number in range(64)]}
)
def nothing(lab: Lab) -> FactDict:
    """What does a cell cost?

    It asks the kernel nothing.
    """
    return {"nothing": True}
