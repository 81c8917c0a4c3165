"""The tasks of `./invoke`, by topic: each parses flags, calls one function and prints."""
