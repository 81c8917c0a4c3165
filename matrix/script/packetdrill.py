"""Runs scripts of packetdrill, each in both families, as a suite."""

from __future__ import annotations

from pathlib import Path

from vms.errors import UsageError

PROGRAM = "packetdrill"
LACKED = "needs packetdrill, which no Debian suite has; name a program, best a static one, with --packetdrill"
"""Why its scripts cannot run without the user's program."""

RUN = """\
run() {
    export NFCT_IP_VERSION=$1 xtables=$2
    shift 2
    if unshare -n packetdrill --ip_version=$family --tolerance_usecs=10000000 "$@" "$script"
    then echo "PASS: $family"
    else echo "FAIL: $family"; failed=1
    fi
}
script=$1 failed=0
[ -e "$2" ] || ln -s . "$2"
modprobe -qa tun nf_conntrack
families=$(sed -n 's/^--ip_version=//p' "$script")
for family in ${families:-ipv4 ipv6}
do
    case $family in
    ipv6)
        run ipv6 ip6tables --mtu=1520 --local_ip=fd3d:0a0b:17d6::1 --gateway_ip=fd3d:0a0b:17d6:8888::1 \
            --remote_ip=fd3d:fa7b:d17d::1 -D CMSG_LEVEL_IP=SOL_IPV6 -D CMSG_TYPE_RECVERR=IPV6_RECVERR ;;
    *)
        run ipv4 iptables --local_ip=192.168.0.1 --gateway_ip=192.168.0.1 --netmask_ip=255.255.0.0 \
            --remote_ip=192.0.2.1 -D CMSG_LEVEL_IP=SOL_IP -D CMSG_TYPE_RECVERR=IP_RECVERR ;;
    esac
done
exit $failed
"""
"""Runs the script `$1` for each family that it names, or for both. `$2` is the name of its
directory: some scripts call what is beside them by that, others by `.`. The addresses are those
that runners of such scripts give them. Packets of an emulated guest are late by seconds while its
host is busy.
"""


def check_program(path: Path) -> None:
    """Raises UsageError if the file cannot be packetdrill."""
    try:
        with path.open("rb") as file:
            beginning = file.read(4)
    except OSError as error:
        raise UsageError(f"--packetdrill {path}: {error.strerror}") from error
    if beginning != b"\x7fELF":
        raise UsageError(f"--packetdrill {path}: this is not a program for Linux (ELF)")


def scripts_in(path: Path, named: str) -> tuple[str, ...]:
    """The names of the scripts in a directory, of which `named` is how the user named it. Raises
    UsageError if there are none.
    """
    if not path.is_dir():
        raise UsageError(f"suite {named}: there is no such directory")
    found = tuple(sorted(entry.name for entry in path.glob("*.pkt") if entry.is_file()))
    if not found:
        raise UsageError(f"suite {named}: there is no file *.pkt")
    return found
