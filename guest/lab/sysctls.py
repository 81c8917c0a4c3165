"""Sysctls that several experiments set or read, by their path under /proc/sys."""

from __future__ import annotations

MAX = "net/netfilter/nf_conntrack_max"
BUCKETS = "net/netfilter/nf_conntrack_buckets"
TCP_LOOSE = "net/netfilter/nf_conntrack_tcp_loose"
UDP_TIMEOUT = "net/netfilter/nf_conntrack_udp_timeout"
