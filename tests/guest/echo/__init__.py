"""An agent that knows nothing of experiments, pushed by the tests of `vms/`."""
