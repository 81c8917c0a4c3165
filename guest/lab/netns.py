"""A network namespace held open, with sockets to its interfaces and its conntrack table."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from guest import linux
from guest.lab.link import Links
from guest.observe.ctnetlink import Conntrack


class Netns:
    """The network namespace in which the process is when this is made; its loopback is set up.

    It knows nothing of a cell, so that it can be made ahead, in the template.
    """

    def __init__(self) -> None:
        self._fd = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        self.links = Links()
        self.conntrack = Conntrack()
        self.links.up("lo")

    def new(self) -> Netns:
        """A fresh network namespace, owned by the user namespace of this process."""
        with self.inside():
            linux.unshare(linux.CLONE_NEWNET)
            return Netns()

    @contextmanager
    def inside(self) -> Iterator[None]:
        """Runs the `with` block in this namespace, then returns to where the process was."""
        before = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            linux.setns(self._fd, linux.CLONE_NEWNET)
            yield
        finally:
            linux.setns(before, linux.CLONE_NEWNET)
            os.close(before)

    def close(self) -> None:
        """Closes the sockets and lets go of the namespace."""
        self.links.close()
        self.conntrack.close()
        os.close(self._fd)
