"""How an upgrade report calls each group of what changes, and what it advises."""

from __future__ import annotations

from matrix.analysis.impact import Impact
from matrix.analysis.upgrade import Severity

SEVERITIES = {
    Severity.BREAKING: (
        "What breaks",
        "Expectations that hold on every other kernel do not hold here. Do not upgrade before you know why.",
    ),
    Severity.REGRESSION: (
        "Fixes that you lose",
        "The older kernel has these by backport, the newer one does not.",
    ),
    Severity.REMOVED: ("What is no longer there", "Search your rules and scripts for it."),
    Severity.UNEXPLAINED: (
        "What changes, and no known commit explains it",
        "Look at the evidence: these may be regressions.",
    ),
    Severity.IMPROVED: ("What works now", ""),
}
IMPACTS = {
    Impact.TRAFFIC: (
        "Packets that no longer get through",
        (
            "See whether you have such traffic. After the upgrade watch drop and insert_failed in `conntrack"
            " -S` and your rules' counters."
        ),
    ),
    Impact.CONFIGURATION: (
        "Settings and rules that are no longer taken",
        (
            "Search sysctl files, module options and rule sets for them: a script that stops at the first"
            " error stops there."
        ),
    ),
    Impact.CLASSIFICATION: (
        "Packets that are judged otherwise, or get through now",
        (
            "Look at rules that match ct state (INVALID, NEW, ESTABLISHED, UNTRACKED): they see other packets"
            " than before."
        ),
    ),
    Impact.LIFETIME: (
        "How long entries live",
        (
            "Look at limits and timeouts that were tuned to the older kernel, at idle connections and at what"
            " replaces ended ones."
        ),
    ),
    Impact.OTHER: ("What else behaves otherwise", ""),
    Impact.OBSERVABILITY: (
        "What tools and monitoring see",
        "Look at alerts, exporters and scripts that read counters, listings, events or the kernel's log.",
    ),
    Impact.FEATURES: (
        "What can be set or matched now",
        "Nothing has to be done; ways around the lack of it may go.",
    ),
}
