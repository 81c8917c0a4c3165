"""BPF: which of connection tracking's functions the programs of a network plugin may call."""

from __future__ import annotations

import struct
from typing import Annotated

from guest.catalogue import Facts, experiment
from guest.errors import Unsupported
from guest.lab import bpf
from guest.lab.bpf import RefusedProgram, call, instruction
from guest.lab.lab import Lab
from guest.linux import errno_name
from guest.observe import btf

_MODULES = ("nf_conntrack", "nf_nat", "nf_flow_table", "nf_conntrack_bridge")
_CALLABLE = ("bpf_ct_", "bpf_skb_ct_", "bpf_xdp_ct_", "bpf_xdp_flow_")
_RELEASE = "bpf_ct_release"
_FOUND = 1


class BpfFunctions(Facts):
    """Facts of `bpf-functions`."""

    btf: Annotated[dict[str, int], "per module: 1 if the kernel describes its functions (BTF), else 0"]
    functions: Annotated[list[str], "functions for BPF programs that it describes, by module"]
    lookup: Annotated[
        list[str],
        "what a program of each kind gets that looks the flow up: found, an errno, no function, or why the"
        " kernel does not load it",
    ]
    reply: Annotated[list[str], "the same for the tuple of the answer"]


@experiment(modules=_MODULES)
def bpf_functions(lab: Lab) -> BpfFunctions:
    """Which functions of connection tracking may BPF programs call, and do they find a flow?

    The functions are those that the kernel's BTF names in nf_conntrack, nf_nat, nf_flow_table and
    nf_conntrack_bridge. Then a program for tc and one for XDP, of twenty instructions and without
    any toolchain, look up the flow of one forwarded UDP packet by its tuple. Network plugins that
    keep their state in conntrack load such programs and fail where one function is missing.
    """
    router = lab.router()
    there, _ = router.udp()
    router.from_client(there)
    try:
        base = btf.vmlinux()
    except OSError as error:
        raise Unsupported(f"/sys/kernel/btf/vmlinux: {errno_name(error)}") from error
    described = {module: btf.functions(module, base) for module in _MODULES if btf.available(module)}
    tuples = {"lookup": ("10.0.1.2", "10.0.2.2", 40000, 53), "reply": ("10.0.2.2", "10.0.1.2", 53, 40000)}
    answers = {
        name: [
            f"{kind}: {_look_up(lab, number, described.get('nf_conntrack', {}), kind, _tuple(*addressed))}"
            for kind, number in (("tc", bpf.TC), ("xdp", bpf.XDP))
        ]
        for name, addressed in tuples.items()
    }
    return BpfFunctions(
        btf={module: int(module in described) for module in _MODULES},
        functions=[
            f"{module}: {name}"
            for module, found in described.items()
            for name in sorted(found)
            if name.startswith(_CALLABLE)
        ],
        lookup=answers["lookup"],
        reply=answers["reply"],
    )


def _tuple(source: str, destination: str, sport: int, dport: int) -> bytes:
    """struct bpf_sock_tuple of IPv4."""
    addresses = b"".join(bytes(map(int, address.split("."))) for address in (source, destination))
    return addresses + struct.pack(">HH", sport, dport)


def _look_up(lab: Lab, number: int, functions: dict[str, int], kind: str, addressed: bytes) -> str:
    name = "bpf_skb_ct_lookup" if kind == "tc" else "bpf_xdp_ct_lookup"
    if not {name, _RELEASE} <= functions.keys():
        return "no function"
    try:
        with lab.inside():
            code = bpf.run(number, _program(functions[name], functions[_RELEASE], addressed), "nf_conntrack")
    except RefusedProgram as refusal:
        return str(refusal)
    return "found" if code == _FOUND else errno_name(OSError(-code, ""))


def _program(lookup: int, release: int, addressed: bytes) -> bytes:
    """Returns 1 if there is a UDP flow with the tuple, else the function's error."""
    # On the stack, below r10: 12 bytes of tuple, and 12 of struct bpf_ct_opts: this namespace (-1),
    # room for an error, UDP.
    words = (*struct.unpack("=iii", addressed), -1, 0, 17)
    places = (-12, -8, -4, -24, -20, -16)
    store = [instruction(0x62, 10, 0, place, word) for place, word in zip(places, words, strict=True)]
    arguments = [
        instruction(0xBF, 2, 10),  # r2 = r10 - 12
        instruction(0x07, 2, value=-12),
        instruction(0xB7, 3, value=12),
        instruction(0xBF, 4, 10),  # r4 = r10 - 24
        instruction(0x07, 4, value=-24),
        instruction(0xB7, 5, value=12),
    ]
    after = [
        instruction(0x55, 0, offset=2),  # a flow: skip two instructions
        instruction(0x61, 0, 10, -20),
        instruction(0x95),
        instruction(0xBF, 1),
        call(release),
        instruction(0xB7, 0, value=_FOUND),
        instruction(0x95),
    ]
    return b"".join([*store, *arguments, call(lookup), *after])
