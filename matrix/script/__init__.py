"""Runs a program of the user's, unchanged, in a guest of each kernel, as a cell like any other."""
