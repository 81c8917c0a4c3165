"""Finds the pair of builds between which a fact changed."""
