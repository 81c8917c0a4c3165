"""Answers programs over the Model Context Protocol: what runs found, small answers first, and a
question to a kernel as a job.
"""
