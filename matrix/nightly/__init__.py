"""Nightly runs: new cells and a sample of the others, compared with the accepted answers."""
