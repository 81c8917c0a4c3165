"""How an upgrade report calls each group of what changes, and what it advises."""

from __future__ import annotations

from matrix.analysis.impact import Impact
from matrix.analysis.upgrade import Severity

SEVERITIES = {
    Severity.BREAKING: (
        "What breaks",
        "An invariant that other kernels satisfy fails here. Do not upgrade before you know why.",
    ),
    Severity.REGRESSION: (
        "Fixes that you lose",
        "The older kernel has them as backports, the newer one lacks them.",
    ),
    Severity.REMOVED: ("What is no longer supported", "Search your rules and scripts for it."),
    Severity.UNEXPLAINED: (
        "Changes that no known commit explains",
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
        "Settings and rules that are no longer accepted",
        (
            "Search sysctl files, module options and rule sets for them: a script that stops at the first"
            " error stops there."
        ),
    ),
    Impact.CLASSIFICATION: (
        "Packets classified differently, or now accepted",
        (
            "Look at rules that match ct state (INVALID, NEW, ESTABLISHED, UNTRACKED): they now match other"
            " packets."
        ),
    ),
    Impact.LIFETIME: (
        "Lifetimes of entries",
        (
            "Look at limits and timeouts that were tuned to the older kernel, at idle connections, and at"
            " connections that reuse the ports of closed ones."
        ),
    ),
    Impact.OTHER: ("Other changes in behaviour", ""),
    Impact.OBSERVABILITY: (
        "What tools and monitoring see",
        "Look at alerts, exporters and scripts that read counters, listings, events or the kernel's log.",
    ),
    Impact.FEATURES: (
        "New settings and matches",
        "No action is needed; workarounds for their absence can be removed.",
    ),
}
