"""Readers of what a kernel did: its table, counters, log and captures."""
