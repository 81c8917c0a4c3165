"""Bytes that each reader takes, for a fuzzer to begin with: mostly what real kernels said, as
recorded in tests/fixtures/.
"""

from __future__ import annotations

import base64
import gzip
import io
import json
import lzma
import struct
import tarfile
import tempfile
from pathlib import Path

import msgspec

from guest.observe.pcap import Captured, pcap
from matrix.baseline.baseline import Baseline, accept, write_baseline
from matrix.results.latest import Answer, LatestAnswers
from matrix.results.manifest import kernel_entry
from tests.support import sample
from tests.support.fakes import make_kernel
from tests.support.packages import bzimage, image_deb
from tests.support.project import ROOT
from tests.support.recorded import KERNELS, recorded
from vms.kernels.lock import Lock, Locked
from vms.kernels.requirements import OPTIONS

_FIXTURES = ROOT / "tests" / "fixtures"
_RUN = _FIXTURES / "runs" / "first"
_SYN = struct.pack(">HHIIBBHHH", 40000, 80, 1, 0, 0x50, 2, 0, 0, 0)
_IPV4 = bytes.fromhex("45000028000100004006000a0a0001020a000202") + _SYN
# Behind a fragment header, an echo request.
_IPV6 = struct.pack(">IHBB16s16s", 6 << 28, 12, 44, 64, bytes(15) + b"\1", bytes(15) + b"\2")
_IPV6 += bytes.fromhex("3a00000000000001800000000001")


def answers() -> list[bytes]:
    facts = {"flows": 7, "seen": True, "state": "x", "states": ["a", "b"], "drops": {"early": 1}}
    evidence = {
        "conntrack": {"text": "x"},
        "packets.pcap": {"base64": base64.b64encode(captures()[0]).decode()},
    }
    fields = {"schema": 1, "outcome": "answered", "facts": facts, "reason": "", "evidence": evidence}
    header = {"id": "7", "bytes": 1, "printed": "words", "dmesg": consoles()[0].decode()[:4000]}
    return [
        json.dumps(header).encode() + b"\n" + json.dumps({**fields, **other}).encode()
        for other in (
            {},
            {"outcome": "unsupported", "reason": "no module"},
            {"outcome": "timeout", "facts": {}},
        )
    ]


def agents() -> list[bytes]:
    whole = b'{"ready": true}'
    good = json.dumps({"id": "7", "bytes": len(whole)}).encode() + b"\n" + whole
    return [good, b"noise\n" + good.replace(b'"7"', b'"6"') + good]


def captures() -> list[bytes]:
    packets = [
        Captured(1.5, 2, True, _IPV4),
        Captured(1.6, 3, False, _IPV6),
        Captured(2.0, 3, False, bytes(12) + b"\x08\0" + _IPV4, ethernet=True),
    ]
    made = pcap(packets)
    linked = [made[:20] + struct.pack("<I", link) + made[24:] for link in (1, 101, 113)]
    return [made, *linked]


def consoles() -> list[bytes]:
    return [path.read_bytes() for path in sorted((_FIXTURES / "splats").iterdir())]


def changelogs() -> list[bytes]:
    new = "linux (6.12.117-1) trixie; urgency=high\n\n  * New:\n    - netfilter: a\n      b\n\n -- A\n"
    return [f"{new}\nlinux-signed-amd64 (6.12.116+1) trixie; urgency=high\n\n  * Sign\n".encode()]


def kernel_configs() -> list[bytes]:
    config = "".join(f"CONFIG_{option}=y\n" for option in [*OPTIONS, "KASAN"])
    names = [f"kernel/{module}.ko" for _, module in OPTIONS.values() if module] + ["kernel/overlay.ko"]
    builtin = "\n".join(names)
    listed = "".join(f"{name}.xz: kernel/virtio.ko.xz\n" for name in names)
    return [f"{config}\0{builtin}\0".encode(), f"{config.replace('=y', '=m')}\0\0{listed}".encode()]


def modules() -> list[bytes]:
    content = b"\x7fELF" + bytes(400)
    return [b"xz\n" + lzma.compress(content), b"gz\n" + gzip.compress(content, mtime=0), b"ko\n" + content]


def _tar(form: int) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=form) as packed:
        for name, content in (
            ("./boot/vmlinuz-6.12.1", b"MZ"),
            ("./boot/config-6.12.1", b"CONFIG_64BIT=y\n"),
            ("./usr/lib/modules/6.12.1/kernel/" + "x" * 120 + ".ko", b"\x7fELF"),
        ):
            info = tarfile.TarInfo(name)
            info.size = len(content)
            packed.addfile(info, io.BytesIO(content))
        link = tarfile.TarInfo("lib/modules/6.12.1/build")
        link.type, link.linkname = tarfile.SYMTYPE, "/usr/src"
        packed.addfile(link)
    return made.getvalue()


def streams() -> list[bytes]:
    return [_tar(form) for form in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT)]


def debs() -> list[bytes]:
    with tempfile.TemporaryDirectory() as directory:
        return [image_deb(Path(directory), "6.12.117+deb13", "6.12.117-1").read_bytes()[:20_000]]


def packages() -> list[bytes]:
    whole = b"!<arch>\n"
    for name, content in (("debian-binary", b"2.0\n"), ("data.tar", _tar(tarfile.GNU_FORMAT))):
        whole += f"{name:<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(content):<10}`\n".encode() + content
    return [whole, *streams(), *rpms()]


def rpms() -> list[bytes]:
    fields = {1000: b"kernel-core\0", 1001: b"6.11.4\0", 1002: b"301.fc41\0"}
    index, store = b"", b""
    for tag, value in fields.items():
        index += struct.pack(">IIII", tag, 6, len(store), 1)
        store += value
    headers = [
        struct.pack(">4sIII", b"\x8e\xad\xe8\x01", 0, len(part) // 16, len(kept)) + part + kept
        for part, kept in ((b"", b""), (index, store))
    ]
    lead = b"\xed\xab\xee\xdb\x03\0" + bytes(90)
    return [lead + b"".join(headers) + streams()[0]]


def trees() -> list[bytes]:
    return [b"6.13.0-rc3-mine\nnet/x.o\n", b"6.12.1\nnet/x.ko\n"]


def bzimages() -> list[bytes]:
    with tempfile.TemporaryDirectory() as directory:
        return [bzimage(Path(directory) / "vmlinuz", "6.12.117+deb13-cloud-amd64", 64).read_bytes()]


def package_lists() -> list[bytes]:
    stanza = (
        "Package: linux-{}-6.19.1+deb14-cloud-amd64\nVersion: 6.19.1-1\nArchitecture: amd64\n"
        "Filename: pool/x_{}.deb\nSize: 20000000\nSHA256: {}\n\n"
    )
    names = ("image", "binary", "modules", "base")
    return ["".join(stanza.format(name, name, "ab" * 32) for name in names).encode()]


def locks() -> list[bytes]:
    kernel = make_kernel("6.12.117")
    return [msgspec.json.encode(Lock((Locked("6.12", (kernel,)), Locked("lts", (kernel,)))))]


def specs() -> list[bytes]:
    return [
        text.encode()
        for text in (
            "6.12", "6.12.90-2", "6.12.*", "5.10..7.3", "5.10.*..6.12.90", "lts", "all-generic", "host",
            "debian:6.12.117+deb13-cloud-amd64=6.12.117-1", "deb:a.deb,b.deb", "mine=tree:../linux",
            "image:/boot/vmlinuz,modules=/lib/modules/x", "7.3-rc7-rt",
        )
    ]  # fmt: skip


def configs() -> list[bytes]:
    return [
        (ROOT / "matrix.toml").read_bytes(),
        b'kernels = ["6.12"]\ncache.keep = "20GB"\n[[debian.suites]]\nsuite = "sid"\ncomponents = ["main"]\n',
    ]


def baselines() -> list[bytes]:
    kernels = {entry.id: entry for entry in map(kernel_entry, map(make_kernel, sample.KERNELS))}
    by_name = {entry.name: key for key, entry in kernels.items()}
    answers = {
        (by_name[one.kernel], one.experiment, ""): Answer(one, "2026-01-01T00:00:00+00:00", 1)
        for one in sample.records()
        if not one.variant
    }
    known = accept(Baseline(), LatestAnswers(kernels, answers), "me", "2026-01-01T00:00:00+00:00", "first")
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "baseline.json"
        write_baseline(path, known)
        return [path.read_bytes()]


def runs() -> list[bytes]:
    files = [_RUN / "manifest.json", _RUN / "results.json", *sorted(_RUN.rglob("record.json"))]
    return [b"\n".join(json.dumps(json.loads(path.read_bytes())).encode() for path in files)]


def flows() -> list[bytes]:
    return [bytes.fromhex(payload) for kernel in KERNELS for payload in recorded(kernel)["dump"]]


def netlinks() -> list[bytes]:
    rows = [struct.pack("=IHHII", 16 + len(flow), 256, 2, 1, 0) + flow for flow in flows()]
    return [b"".join(rows), *rows[:2]]


def nft_counters() -> list[bytes]:
    return [bytes.fromhex(payload) for kernel in KERNELS for payload in recorded(kernel)["counters"]]


def nfts() -> list[bytes]:
    return [json.dumps(recorded(kernel)["nft"]).encode() for kernel in KERNELS]


def saves() -> list[bytes]:
    return [recorded(kernel)[name].encode() for kernel in KERNELS for name in ("save_legacy", "save_nft")]


def verdicts() -> list[bytes]:
    """An exit code and what a test program printed."""
    return [
        b"\1KTAP version 1\n1..2\n  ok 1 a # SKIP no sctp\nnot ok 2 - b # TODO later\n",
        b"\0PASS: ns1-AbCd1e can reach ns2-xyzabc in 12 ms\nFAIL: a\nTEST: b      [ OK ]\n",
        b"\4SKIP: Could not run test without socat\n",
    ]


def netstats() -> list[bytes]:
    return [recorded(kernel)["netstat"].encode() for kernel in KERNELS]
