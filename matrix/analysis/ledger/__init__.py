"""The known upstream commits that explain changes: `commits.toml` says which kernels hold them,
`changes.toml` what they do to facts.
"""
