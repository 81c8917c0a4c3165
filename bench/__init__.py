"""Measurements, each a module here with a `measure()` that gives figures.

They compare within one run and judge nothing.
"""
