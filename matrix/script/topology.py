"""The topologies of the lab's experiments for a person at a shell, with a namespace wherever an
experiment makes the packets itself.
"""

from __future__ import annotations

from dataclasses import dataclass

from vms.deadline import Deadline
from vms.errors import HostError, UsageError
from vms.ssh import Ssh
from vms.suggest import suggestion

# Addresses, routes and settings are those of guest/lab/namespace.py, of both families at once. One
# `ip` takes many commands: to start a program takes long under emulation.
# Without duplicate address detection, for a second of which a router would ask for no neighbour.
_BEFORE = """\
echo 1 >/proc/sys/net/core/devconf_inherit_init_net
echo 0 >/proc/sys/net/ipv6/conf/default/accept_dad
"""
_AFTER = """\
echo 1 >/proc/sys/net/ipv6/conf/default/accept_dad
echo 0 >/proc/sys/net/core/devconf_inherit_init_net
"""
_HOST = """\
ip -batch - <<end
netns add host
netns add peer
link add tun0 netns host type veth peer name eth0 netns peer
end
ip -n host -batch - <<end
link set lo up
link set tun0 up
address add 192.0.2.1 peer 192.0.2.2 dev tun0
address add 2001:db8:2::1/64 dev tun0 nodad
route add 0.0.0.0/0 via 192.0.2.2
route add ::/0 via 2001:db8:2::2
end
ip -n peer -batch - <<end
link set lo up
link set eth0 up
address add 192.0.2.2 peer 192.0.2.1 dev eth0
address add 2001:db8:2::2/64 dev eth0 nodad
address add 198.18.0.2/32 dev lo
address add 2001:db8:18::2/128 dev lo nodad
end
"""
_ROUTER = """\
ip -batch - <<end
netns add router
netns add client
netns add server
link add tun0 netns router type veth peer name eth0 netns client
link add tun1 netns router type veth peer name eth0 netns server
end
ip -n router -batch - <<end
link set lo up
link set tun0 up
link set tun1 up
address add 10.0.1.1/24 dev tun0
address add 10.0.2.1/24 dev tun1
address add 2001:db8:1::1/64 dev tun0 nodad
address add 2001:db8:2::1/64 dev tun1 nodad
end
ip -n client -batch - <<end
link set lo up
link set eth0 up
address add 10.0.1.2/24 dev eth0
address add 2001:db8:1::2/64 dev eth0 nodad
route add 0.0.0.0/0 via 10.0.1.1
route add ::/0 via 2001:db8:1::1
end
ip -n server -batch - <<end
link set lo up
link set eth0 up
address add 10.0.2.2/24 dev eth0
address add 2001:db8:2::2/64 dev eth0 nodad
route add 0.0.0.0/0 via 10.0.2.1
route add ::/0 via 2001:db8:2::1
end
ip netns exec router sh -c '
echo 1 >/proc/sys/net/ipv4/ip_forward
echo 1 >/proc/sys/net/ipv6/conf/all/forwarding
for one in /proc/sys/net/ipv4/conf/*/rp_filter
do echo 0 >$one
done'
"""


@dataclass(frozen=True)
class Topology:
    """Network namespaces with names. `inside` is the one where experiments are, `text` tells a
    person of the others.
    """

    inside: str
    text: str
    commands: str

    def words(self, command: tuple[str, ...]) -> tuple[str, ...]:
        """The command, to be run in the namespace where experiments are."""
        return ("ip", "netns", "exec", self.inside, *command)

    def make(self, ssh: Ssh, what: str, deadline: Deadline) -> None:
        """Makes it in a guest. Raises HostError with the guest's words if its kernel cannot."""
        path = "set -e; export PATH=/usr/sbin:/usr/bin:/sbin:/bin\n"
        done = ssh.run(path + _BEFORE + self.commands + _AFTER, deadline)
        if done.status:
            raise HostError(f"{what}: the namespaces of --lab cannot be made: {done.output.strip()[-1000:]}")


TOPOLOGIES = {
    "host": Topology(
        "host",
        "you are in the namespace `host`, tun0 192.0.2.1; at the other end of the wire is `peer`, 192.0.2.2"
        " and behind it 198.18.0.2",
        _HOST,
    ),
    "router": Topology(
        "router",
        "you are in the namespace `router`, tun0 10.0.1.1 and tun1 10.0.2.1; `client` is 10.0.1.2, `server`"
        " 10.0.2.2",
        _ROUTER,
    ),
}


def find_topology(name: str) -> Topology:
    """The topology of this name. Raises UsageError."""
    if name not in TOPOLOGIES:
        raise UsageError(f"--lab {name!r}: {suggestion(name, TOPOLOGIES)}")
    return TOPOLOGIES[name]
