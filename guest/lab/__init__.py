"""The lab: what experiments are written with, from namespaces and rules to packets."""
