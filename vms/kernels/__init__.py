"""Kernels: their names, where they come from, and how they are fetched and verified."""
