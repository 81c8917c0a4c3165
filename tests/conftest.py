from __future__ import annotations

import signal

from hypothesis import HealthCheck, settings

# A shell that runs the tests in the background has them ignore Ctrl-C, and so would every program
# that they start and then interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# How long an example takes, to make or to test, says something about the machine only.
# A commit passes always or never: the examples are the same each time.
settings.register_profile(
    "any machine", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("any machine")
