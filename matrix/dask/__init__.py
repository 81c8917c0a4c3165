"""Run a plan in guests on several machines."""
