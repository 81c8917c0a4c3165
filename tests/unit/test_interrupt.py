from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest


@pytest.mark.fault(
    phase="cell", fault="tool interrupted", outcome="every child is killed and every deadline expires"
)
def test_interrupt_ends_children_with_their_groups_and_every_deadline() -> None:
    # In a process of its own: an interrupt is for good.
    program = textwrap.dedent("""
        import subprocess, threading, time
        from vms.deadline import Deadline
        from vms.errors import HostError
        from vms.interrupt import interrupt
        from vms import tool

        before = Deadline(60, "x")
        plain = subprocess.Popen(["sleep", "600"])
        said = []
        def work():
            try:
                tool.run(["sh", "-c", "sleep 600 & sleep 600"], Deadline(60, "sleeping"))
            except HostError as error:
                said.append(str(error))
        thread = threading.Thread(target=work)
        thread.start()
        time.sleep(0.3)
        interrupt()
        thread.join(120)
        assert said, "the tool still runs"
        assert plain.wait(120) == -9
        assert before.expired and Deadline(60, "y").expired
        """)
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
