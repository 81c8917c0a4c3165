"""Runs for other programs: JUnit, TAP, CSV, Parquet, JSON Schema."""
