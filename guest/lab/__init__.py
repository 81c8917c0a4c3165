"""The lab: the words experiments are written in."""
