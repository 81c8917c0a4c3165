from __future__ import annotations

import json
import subprocess
import sys

from tests.support.project import ROOT


def test_the_data_of_a_kernel_loads_no_more_than_four_modules_of_vms() -> None:
    program = "import json, sys, vms.kernels.kernel; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, check=True)
    loaded = [name for name in json.loads(done.stdout) if name.partition(".")[0] == "vms"]
    assert "vms.kernels.kernel" in loaded
    assert len(loaded) <= 4, loaded
