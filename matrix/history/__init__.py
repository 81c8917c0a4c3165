"""What every kernel answered in every run: a database made from run directories, and questions to
it.
"""
