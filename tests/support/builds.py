"""Debian's builds of the cloud flavour that could be fetched when the ledger was written, November
2026.
"""

from __future__ import annotations

from vms.kernels.kernel import Kernel
from vms.kernels.order import release_of_version, series_of

VERSIONS = """
5.10.218-1 5.10.223-1 5.10.251-5 5.10.257-1 5.10.259-1 5.10.262-1
6.1.170-3 6.1.172-1 6.1.174-1 6.1.176-1 6.1.177-1 6.1.180-1 6.1.187-1 6.1.190-1 6.1.192-2
6.12.43-1~bpo12+1 6.12.57-1~bpo12+1 6.12.69-1~bpo12+1 6.12.73-1~bpo12+1 6.12.74-2~bpo12+1 6.12.85-1~bpo12+1
6.12.86-1~bpo12+1
6.12.88-1~bpo12+1 6.12.90-2 6.12.94-1 6.12.95-1~bpo12+1 6.12.96-1 6.12.100-1 6.12.101-1 6.12.105-1 6.12.107-1
6.12.111-1 6.12.113-1
6.12.115-2 6.12.116-1 6.12.117-1 6.12.118-1
6.16.3-1~bpo13+1 6.16.12-1~bpo13+1 6.17.8-1~bpo13+1 6.17.13-1~bpo13+1
6.18.5-1~bpo13+1 6.18.9-1~bpo13+1 6.18.12-1~bpo13+1 6.18.15-1~bpo13+1
7.2.6-1~bpo13+1 7.2.9-1~bpo13+1 7.2.11-1~bpo13+1 7.2.12-1~bpo13+1 7.2.13-1 7.3~rc7-1~exp1 7.3.4-1~bpo13+1
"""


def build(version: str, origin: str = "debian") -> Kernel:
    """The kernel of a package version."""
    release = release_of_version(version)
    return Kernel(
        release,
        f"{origin}:{release}-cloud-amd64={version}",
        series_of(release),
        release,
        "cloud",
        version,
        "",
        (),
    )


BUILDS = tuple(build(version) for version in VERSIONS.split())
