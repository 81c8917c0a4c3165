"""Run a plan in guests on this machine."""
