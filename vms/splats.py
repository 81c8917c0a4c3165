"""Finds splats in a kernel's log: the reports that a kernel prints when it finds itself in error.

A splat is a panic, an oops, a failed check (BUG, WARNING), a finding of a sanitizer or of lockdep,
a lockup, a stall, a hung task, or memory that ran out. The log may be a guest's console or the
output of `dmesg`. It is not trusted: the time is linear in its length, and the result is bounded.

The kernel's source defines the forms of splats: kernel/panic.c, lib/bug.c, arch/x86/mm/fault.c,
mm/kasan/report.c, lib/ubsan.c, kernel/locking/lockdep.c, kernel/watchdog.c,
kernel/rcu/tree_stall.h, kernel/hung_task.c, mm/oom_kill.c.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum

from vms.text import shown

MOST_SPLATS = 16
"""How many different splats of one log are returned."""
MOST_CHARACTERS = 16 << 10
"""The largest size of a splat's text."""

_MOST_LINES = 200  # of one splat
_MOST_BEFORE = 5  # lines between a "cut here" and the line that says what failed
_RULE_LINES = 12  # of a splat of lockdep without a call trace
_LINE_CHARACTERS = 400
_TITLE_CHARACTERS = 200
_FRAMES = 3  # of the call trace, in a fingerprint
_FRAMES_LOOKED_AT = 24


class Kind(StrEnum):
    """The kind of a splat."""

    PANIC = "panic"
    OOPS = "oops"
    BUG = "BUG"
    WARNING = "WARNING"
    KASAN = "KASAN"
    SANITIZER = "sanitizer"
    UBSAN = "UBSAN"
    LOCKDEP = "lockdep"
    LOCKUP = "lockup"
    STALL = "RCU stall"
    HUNG_TASK = "hung task"
    OUT_OF_MEMORY = "out of memory"

    @property
    def only_kernel(self) -> bool:
        """Whether only the kernel can be the cause. A busy host can cause lockups, stalls and hung
        tasks too, and an experiment can use up a guest's memory.
        """
        return self not in (Kind.LOCKUP, Kind.STALL, Kind.HUNG_TASK, Kind.OUT_OF_MEMORY)


@dataclass(frozen=True)
class Splat:
    """One splat.

    `title` is the line that names the cause, without what differs from boot to boot.
    `fingerprint` is equal for splats with the same cause: the kind, and the innermost functions of
    the call trace. `fatal`: the kernel ended with this splat.
    """

    kind: Kind
    title: str
    fingerprint: str
    fatal: bool = False

    def __post_init__(self) -> None:
        """Bounds and cleans the texts: they come from guests and other people's run directories."""
        object.__setattr__(self, "title", shown(self.title, _TITLE_CHARACTERS))
        object.__setattr__(self, "fingerprint", shown(self.fingerprint))

    @property
    def line(self) -> str:
        """The kind and the title on one line."""
        return self.title if self.kind.value in self.title else f"{self.kind}: {self.title}"


@dataclass(frozen=True)
class Found:
    """A splat, and its lines in the log."""

    splat: Splat
    text: str


def find_splats(log: str) -> tuple[Found, ...]:
    """The different splats of a log, in order, up to the one that ended the kernel."""
    found: dict[str, Found] = {}
    for block in _blocks(log):
        one = block.found()
        if one.splat.fatal or len(found) < MOST_SPLATS - 1:
            found[one.splat.fingerprint] = one if one.splat.fatal else found.get(one.splat.fingerprint, one)
        if one.splat.fatal:
            break
    return tuple(found.values())


def merged(console: tuple[Found, ...], dmesg: tuple[Found, ...]) -> tuple[Found, ...]:
    """The different splats of two logs of the same time."""
    found = {one.splat.fingerprint: one for one in (*dmesg, *console)}
    return tuple(dict.fromkeys(found[one.splat.fingerprint] for one in (*console, *dmesg)))[:MOST_SPLATS]


_STAMP = re.compile(r"(?:<\d{1,3}>)?(?:\[ {0,8}\d{1,10}\.\d{1,9}\] ?)?(?:\[ {0,8}[TC]\d{1,10}\] ?)?")
_LOCK_RULES = (
    "possible circular locking|possible recursive locking|possible irq lock inversion|inconsistent lock"
    "|bad unlock balance|suspicious RCU usage|held lock freed|lock held when return|Nested lock was not"
    "|bad contention|[A-Z_]{1,20}-safe -> |lock held at exit|still has locks held"
)
# The first that matches at the beginning of a line counts.
_BEGINNING = re.compile(
    "|".join(
        f"(?P<{kind.name}{number}>{pattern})"
        for number, (kind, pattern) in enumerate(
            (
                (Kind.PANIC, r"Kernel panic - not syncing: "),
                (Kind.KASAN, r"BUG: KASAN: "),
                (Kind.SANITIZER, r"BUG: (?:KFENCE|KMSAN|KCSAN): "),
                (Kind.UBSAN, r"UBSAN: "),
                (Kind.LOCKUP, r"(?:(?:NMI )?watchdog: )?BUG: (?:soft|workqueue) lockup - "),
                (Kind.LOCKUP, r"(?:NMI )?watchdog: ?(?:CPU\d{1,5}: )?Watchdog detected hard LOCKUP"),
                (Kind.STALL, r"(?:rcu: )?INFO: rcu_\w{1,40} (?:self-)?detected (?:expedited )?stalls? on "),
                (Kind.HUNG_TASK, r"INFO: task .{1,80} blocked (?:for|in|on) "),
                (Kind.LOCKDEP, rf"WARNING: (?:{_LOCK_RULES})"),
                (Kind.LOCKDEP, r"(?:\[ )?BUG: (?:Invalid wait context|MAX_LOCK|MAX_STACK|key )"),
                (Kind.LOCKDEP, r"INFO: trying to register non-static key"),
                (Kind.OOPS, r"BUG: (?:kernel NULL pointer dereference|unable to handle |stack guard page)"),
                (Kind.OOPS, r"Oops: |Oops\[|(?:traps: )?PANIC: double fault|Unable to handle kernel "),
                (Kind.OOPS, r"[a-z][a-z0-9 -]{2,40}(?:, .{1,80})?: [0-9a-f]{4} \[#\d{1,4}\]"),
                (Kind.BUG, r"kernel BUG at |BUG: "),
                (Kind.WARNING, r"WARNING:.{0,80} (?:at |CPU)"),
                (Kind.OUT_OF_MEMORY, r".{1,64} invoked oom-killer: |(?:Memory cgroup o|O)ut of memory: "),
            )
        )
    )
)
_CUT_HERE = re.compile(r"-{4,}\[ cut here ]-{4,}")
_END = re.compile(r"---\[ end |={20,}$")
# Panics that only say that an earlier splat is taken for one: kernel/panic.c, mm/kasan/report.c.
_CONSEQUENCE = re.compile(
    r"Kernel panic - not syncing: (?:Fatal exception|.{0,40}panic_on_|.{0,20}kasan\.fault|hung_task: "
    r"|softlockup: |Hard LOCKUP|RCU Stall|Fatal hardware)"
)
_RIP = re.compile(r"RIP: \w{1,8}:([\w.]{1,200})\+0x")
_FRAME = re.compile(r" {0,8}([A-Za-z_][\w.]{0,200})\+0x[0-9a-f]{1,8}/0x[0-9a-f]{1,8}")
# What belongs to a splat that has no line to end it.
_OF_A_SPLAT = re.compile(
    r" {0,8}(?:\? )?[A-Za-z_][\w.]{0,200}\+0x| ?</?(?:TASK|IRQ|NMI)>|RIP|RSP|Code|CPU|Call Trace"
    r"|Hardware name|Modules linked in|[A-Z][A-Z0-9]{1,3}: [0-9a-f]{16}"
)
# Functions through which a kernel reports, takes locks or sleeps; they are not the cause.
_NOT_THE_CAUSE = re.compile(
    r"dump_stack\w*|show_stack\w*|sched_show_task|v?panic\w*|nmi_panic|__?warn\w*|warn_slowpath\w*|__?report_bug"
    r"|report_bug|handle_bug|exc_\w+|asm_\w+|do_error_trap|do_trap\w*|invalid_op|do_invalid_op|page_fault\w*"
    r"|general_protection|die\w*|__die\w*|oops_\w+|no_context|\w*bad_area\w*|page_fault_oops"
    r"|\w*kasan_(?:report|check|save|bug)\w*|kasan_\w*|__asan_\w+|print_report|print_address_description\w*"
    r"|check_memory_region|__ubsan_\w+|ubsan_\w+|print_\w+|check_\w+|do_raw_\w+|\w*queued_spin_lock\w*|validate_chain|__lock_acquire|lock_acquire"
    r"|lockdep_\w+|mark_lock\w*|_raw_\w+|__?schedule\w*|schedule\w*|io_schedule\w*|rcu_\w+|__might_\w+|watchdog\w*"
    r"|__sysvec\w*|sysvec\w*|common_interrupt|ret_from_\w+|entry_\w+"
)
_SUFFIX = re.compile(r"\.(?:isra|constprop|part|cold|llvm|lto_priv)\b.*")
# Removed from a title in this order: what differs from boot to boot.
_CHANGING = (
    (re.compile(r"\+0x[0-9a-f]+/0x[0-9a-f]+(?: \[[^\]]*\])?"), ""),
    (re.compile(r"\.(?:isra|constprop|part|cold)(?:\.\d+)?\b"), ""),
    (re.compile(r"(: \S{1,60})/\d+/0x[0-9a-f]{8}"), r"\1"),
    (re.compile(r"CPU: \d+ (?:UID: \d+ )?PID: \d+ (?:Comm: \S+ )?(?:at )?"), ""),
    (re.compile(r",? ?(?:on )?CPU#?\d+(?:: \S+)?"), ""),
    (re.compile(r",? ?(?:for |at )?(?:non-canonical |virtual )?addr(?:ess)?:? (?:0x)?[0-9a-f]{6,16}"), ""),
    (re.compile(r": [0-9a-f]{4} \[#\d+\].*"), ""),
    (re.compile(r" (?:stuck )?for (?:more than )?\d+ ?s(?:econds)?\b.*"), ""),
    (re.compile(r"(task \S{1,60}):\d+"), r"\1"),
    (re.compile(r"Killed process \d+ (\(.{1,40}?\)).*"), r"Killed process \1"),
    (re.compile(r": gfp_mask=.*"), ""),
    (re.compile(r" by task \S{1,60}"), ""),
    (re.compile(r"\[[^\]]{1,40}:\d+\]"), ""),
    (re.compile(r"\b(?:0x)?[0-9a-f]{9,16}\b"), "…"),
    (re.compile(r"(\.[chS]):\d+(?::\d+)?"), r"\1"),
    (re.compile(r"(?:, (?:probably|maybe))?[-:, ]*$"), ""),
)


@dataclass
class _Block:
    """The lines of one splat while they are read. A failed check printed `before` before it said
    where it is.
    """

    kind: Kind
    before: list[str]
    lines: list[str] = field(default_factory=list)
    heads: list[str] = field(default_factory=list)
    rip: str = ""
    frames: list[str] = field(default_factory=list)
    ended: bool = False
    fatal: bool = False
    last: int = 0

    def add(self, line: str, plain: str) -> None:
        """Takes one more line, as it is and without its time stamp."""
        if len(self.lines) >= _MOST_LINES:
            # The line that names the victim follows a list of all processes.
            self.ended = self.kind is not Kind.OUT_OF_MEMORY
            return
        self.lines.append(line)
        if _END.match(plain) and len(self.lines) > 1:
            self.ended, self.last = True, len(self.lines)
        elif _OF_A_SPLAT.match(plain):
            self.last = len(self.lines)
        if plain.startswith("stack backtrace:"):
            self.frames.clear()  # before it lockdep shows where locks were taken earlier
        if not self.rip and not self.frames and (rip := _RIP.match(plain)):
            self.rip = _function(rip[1])
        elif len(self.frames) < _FRAMES_LOOKED_AT and (frame := _FRAME.match(plain)):
            self.frames.append(_function(frame[1]))

    def head(self, line: str, plain: str) -> None:
        """Takes a line that names the cause, or part of it."""
        self.heads.append(plain)
        del self.lines[_MOST_LINES - 1 :]
        self.add(line, plain)
        self.last = len(self.lines)
        if "ut of memory: " in plain:
            self.ended = True

    def found(self) -> Found:
        """The splat that these lines are."""
        functions = [name for name in (self.rip, *self.frames) if name and not _NOT_THE_CAUSE.fullmatch(name)]
        functions = list(dict.fromkeys(functions))[:_FRAMES]
        if self.kind is Kind.OUT_OF_MEMORY:
            functions = []  # any process may be the one that finds no memory left
        title = self._title(functions[0] if functions else "")
        fingerprint = f"{self.kind}: {' < '.join(functions)}" if functions else title
        if self.kind is Kind.LOCKDEP and not self.frames:
            self.last = min(len(self.lines), _RULE_LINES)
        text = "\n".join([*self.before, *self.lines[: self.last]])
        return Found(Splat(self.kind, title, fingerprint, self.fatal), shown(text, MOST_CHARACTERS))

    def _title(self, function: str) -> str:
        head = self.heads[-1 if self.kind is Kind.OUT_OF_MEMORY else 0]
        title = _unchanging(head)
        if function and function not in title:
            title += f" in {function}"
        said = _unchanging(_plain(self.before[-1])) if self.before else ""
        return (f"{title}: {said}" if said else title)[:_TITLE_CHARACTERS]


def _blocks(log: str) -> Iterator[_Block]:
    """Each splat of the log as a block, once all of its lines are read."""
    block: _Block | None = None
    before: list[str] | None = None
    for whole in log.splitlines():
        line = whole[:_LINE_CHARACTERS].rstrip()
        plain = _plain(line)
        kind = _kind(plain)
        if block and kind and _continues(block, kind, plain):
            block.fatal = block.fatal or kind is Kind.PANIC
            block.ended = False
            block.head(line, plain)
        elif kind:
            if block:
                yield block
            block = _Block(kind, before or [])
            block.fatal = kind in (Kind.PANIC, Kind.OOPS) or plain.startswith("kernel BUG at ")
            block.head(line, plain)
        elif _CUT_HERE.match(plain):
            if block:
                block.ended = block.ended or not block.fatal
            before = []
            continue
        elif before is not None and len(before) < _MOST_BEFORE:
            before.append(line)
            continue
        elif block and not block.ended:
            block.add(line, plain)
        before = None
    if block:
        yield block


def _kind(plain: str) -> Kind | None:
    found = _BEGINNING.match(plain)
    return Kind[str(found.lastgroup).rstrip("0123456789")] if found else None


def _continues(block: _Block, kind: Kind, plain: str) -> bool:
    """Whether a line that could begin a splat is one more of the splat before it."""
    if kind is Kind.PANIC:
        return block.kind in (Kind.OOPS, Kind.BUG) or bool(_CONSEQUENCE.match(plain))
    if kind is Kind.OOPS:
        return block.fatal and not block.ended
    return kind is block.kind is Kind.OUT_OF_MEMORY and not block.ended


def _plain(line: str) -> str:
    stamp = _STAMP.match(line)
    return line[stamp.end() :] if stamp else line


def _function(name: str) -> str:
    return _SUFFIX.sub("", name)


def _unchanging(text: str) -> str:
    for pattern, instead in _CHANGING:
        text = pattern.sub(instead, text)
    return text.strip()
