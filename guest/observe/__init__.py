"""Reads what a kernel did, from its machine interfaces."""
