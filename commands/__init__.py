"""The tasks of `./invoke`, by what they are about: each parses flags, calls one function and
prints.
"""
