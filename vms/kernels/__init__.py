"""Kernels: what they are called, where they come from, and how they get here verified."""
