"""Why a fault needs no test in the phases that have none: for docs/reliability.md."""

from __future__ import annotations

_GUEST = "no guest runs then; on another machine it is the same code"
_KVM = "KVM is looked for at the start, and used only by a boot and a cell"
_EXPERIMENT = "an experiment is run as a cell"
_SCRIPT = "a script is run as a cell"
_DATABASE = "only the history is in a database"
_DISTRIBUTED = "only a run on several machines has scheduler and workers"
_MIRROR = (
    "nothing else is fetched by this project's own code: the image is made by mmdebstrap, "
    "whose failure is `building fails`"
)
_PACKAGE = (
    "packages are read when they are unpacked, and modules once more for the initramfs; what "
    "follows reads the checked cache entry"
)
_QEMU = "QEMU runs only in a boot and a cell, and is looked for at the start"
_CLOCK = "every deadline is by a monotonic clock, and only the order of runs could go by the date"
_TOOL = "every program is run by the same code, with a deadline, its own words and its package"

ELSEWHERE = {
    "/dev/kvm does not open": _KVM,
    "/dev/kvm vanishes": _KVM,
    "KVM boots no kernel": _KVM,
    "a user's script ends its guest or lacks a program": _SCRIPT,
    "a user's script floods its output": _SCRIPT,
    "a user's script never ends": _SCRIPT,
    "another user's files": "only the image is built outside of the user's own directories",
    "bug in the tool": (
        "at the bottom of every task one net catches what nobody foresaw: one message, exit code 3"
    ),
    "building fails": "what is built is an image or another entry of the cache",
    "clock ahead": _CLOCK,
    "clock behind": _CLOCK,
    "database damaged": _DATABASE,
    "database gone": _DATABASE,
    "database locked": _DATABASE,
    "database silent": _DATABASE,
    "disk fails": (
        "what lasts is written by the cache and by the results; the history is made from the results again"
    ),
    "disk full": (
        "an image is an entry of the cache, a night writes as results are written, workers do"
        " what the other phases do, and the start writes nothing that is needed"
    ),
    "disk read-only": "everything is written into the cache or the results",
    "download fails": _MIRROR,
    "entry cannot be removed": "only pruning removes entries",
    "entry damaged": "what is unpacked is checked when it is downloaded and when it is used",
    "entry deleted": ("an entry is looked for each time; only a template is used while it could be deleted"),
    "experiment forks without end": _EXPERIMENT,
    "experiment never ends": _EXPERIMENT,
    "experiment takes all memory or disk": _EXPERIMENT,
    "guest answers garbage": _GUEST,
    "guest answers with another key": "a script's session is opened as that of a boot is",
    "guest crashes": _GUEST,
    "guest ends": _GUEST,
    "guest floods": _GUEST,
    "guest floods its console": _GUEST,
    "guest silent": _GUEST,
    "guest truncates its answer": _GUEST,
    "host's disk silent": "only the end of a QEMU can wait for a disk",
    "image damaged": ("an image is verified when it is first used; only its bytes in a guest are not"),
    "image damaged on its way": _DISTRIBUTED,
    "list damaged by its archive": _MIRROR,
    "lock file damaged": "it is read once, at the start",
    "lock held for ever": "other locks are of the cache and the results: `two at once`",
    "memory short": ("only guests take much: what is unpacked and read is bounded (`package floods`)"),
    "mirror answers 404": _MIRROR,
    "mirror is stale": _MIRROR,
    "mirror sends garbage": _MIRROR,
    "mirror sends without end": "lists are taken by apt, which knows their signed size",
    "mirror silent": _MIRROR,
    "mirror slow": "lists have the deadline of `mirror silent`",
    "mirror truncates": "lists are taken by apt, which knows their signed size",
    "module missing": "only the initramfs needs modules by name",
    "no network": "packages are downloaded as from a silent mirror; nothing else needs a network",
    "no worker": _DISTRIBUTED,
    "package changes while it is read": _PACKAGE,
    "package damaged": _PACKAGE,
    "package floods": _PACKAGE,
    "power cut": (
        "what lasts is written by the cache and by the results; the history is made from the results again"
    ),
    "program fails": _TOOL,
    "program hangs": _TOOL,
    "program leaves a helper": _TOOL,
    "program missing": _TOOL,
    "QEMU cannot load": "only the first clone of a template tries it",
    "QEMU cannot save": "only a template is saved",
    "QEMU ends early": _QEMU,
    "QEMU killed": _QEMU,
    "QEMU replaced": _QEMU,
    "QEMU silent": "a cell's guest is loaded within the same deadlines, and asked by another way",
    "QEMU too old": "it is looked at once, at the start",
    "record damaged": "nothing else reads records",
    "scheduler killed": _DISTRIBUTED,
    "scheduler silent": _DISTRIBUTED,
    "too many open files": (
        "guests are what takes descriptors; elsewhere the net at the bottom says it in one message"
    ),
    "tool interrupted": (
        "programs end with us and an entry is published whole: lists as a download, an "
        "initramfs as any entry of the cache; a night is a run; the start writes nothing that"
        " is needed"
    ),
    "tool killed": (
        "programs end with us and an entry is published whole: lists as a download, an "
        "initramfs as any entry of the cache; a night is a run; the start writes nothing that"
        " is needed; a scheduler forgets a client that is gone"
    ),
    "two at once": (
        "packages, images, initramfs and templates are entries of the cache, lists are "
        "updated under a lock of the cache, a night is a run"
    ),
    "worker interrupted": _DISTRIBUTED,
    "worker killed": _DISTRIBUTED,
}
"""By fault: why it cannot happen, or is the same, in the phases without a test."""
