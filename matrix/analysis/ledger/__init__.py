"""The known upstream commits that explain changes: `commits.toml` lists the kernels that hold each,
`changes.toml` what each does to facts.
"""
