"""From a plan to tables. Knows nothing of QEMU."""
