"""What the README promises, done in an empty Debian: its commands, in a clone of this checkout.

mmdebstrap makes the Debian in namespaces of its own, as root or as an ordinary user, runs the
commands in it as its last step, and removes it. They have what a new machine at this place would
have: the mirror, and the way to it and to other hosts (proxies, certificates). They share no cache
with this user.
"""

from __future__ import annotations

import os
import re
import secrets
import shlex
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from vms import tool
from vms.deadline import Deadline
from vms.errors import FetchError, HostError, UsageError
from vms.kernels.apt import checks_valid_until, failure_of, source_line
from vms.kernels.host_apt import host_apt
from vms.mmdebstrap import ENDED_WITH_US, PROGRAM, workplace
from vms.settings import Debian, Suite
from vms.suggest import suggestion

SUITES = ("bookworm", "trixie", "sid")
"""Debian 12 or later, as the README says."""
_PACKAGES = ("ca-certificates", "git")  # a clone needs them
_ROOT_SECONDS = 1800
_COMMAND_SECONDS = 4 * 3600
_GIT_SECONDS = 120
_LINE = 64 << 10  # bytes; a longer line is passed on in parts
_KEPT = 200  # lines of output, for the message about a failure
_CERTIFICATES = Path("/usr/local/share/ca-certificates")
"""Where Debian keeps the certificates that an administrator trusts besides its own."""
_SECTION = re.compile(r"^## Two commands$.*?^```sh\n(.*?)^```", re.DOTALL | re.MULTILINE)
_CLONE = "/root/conntrack-matrix"
# The Debian is the root of a mount namespace, since below chroot(2) the kernel else makes no user
# namespace: it is mounted over what was the root before, to which nothing leads. (Not every Debian
# has pivot_root(8).) It has shared memory of its own and, as any machine, a device for tun
# interfaces. The script and what it leaves running end with the shell that starts it: mmdebstrap
# 1.5 waits for all of that.
_ENTER = """\
mkdir -p dev/net && mount -t tmpfs -o mode=1777 shm dev/shm || exit 1
for device in kvm net/tun; do
    [ ! -c /dev/$device ] || { touch dev/$device && mount --bind /dev/$device dev/$device; } || exit 1
done
mount --rbind . . && cd "$PWD" && mount --move . / || exit 1
chroot . setpriv --pdeathsig KILL unshare --pid --fork --kill-child --mount-proc bash /root/script </dev/null
exit $?
"""
# Of the environment only the way to other hosts is kept; its values stand in no command line, which
# others could read. An installer writes /etc/hosts, mmdebstrap does not.
_PREPARE = f"""\
unset $(compgen -e | grep -vixE 'http_proxy|https_proxy|no_proxy')
export HOME=/root LANG=C.UTF-8 PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
update-ca-certificates >/dev/null || exit 1
printf '127.0.0.1 localhost\\n::1 localhost\\n' >/etc/hosts
hints='-c advice.detachedHead=false -c init.defaultBranch=main'
git $hints clone --quiet /root/clone.bundle {_CLONE} || exit 1
cd {_CLONE}
"""
_RUN = """\
echo '{mark} begin {number}'
{command}
echo "{mark} end {number} $?"
"""
_VERSIONS = """\
echo "{mark} version $(/usr/bin/python3 --version)"
echo "{mark} version $(qemu-system-x86_64 --version | head -n 1)"
"""


@dataclass(frozen=True)
class Done:
    """A command of the README that has run: its exit code and how long it took."""

    command: str
    code: int
    seconds: float


@dataclass(frozen=True)
class Fresh:
    """What an empty Debian of a suite made of the README's commands, and the versions in it."""

    suite: str
    done: tuple[Done, ...]
    versions: tuple[str, ...]

    @property
    def exit_code(self) -> int:
        """That of the first command that failed, else 0."""
        return next((one.code for one in self.done if one.code), 0)


def readme_commands(readme: str) -> tuple[str, ...]:
    """The commands in the README's section `Two commands`."""
    found = _SECTION.search(readme)
    lines = (line.partition("#")[0].strip() for line in (found[1] if found else "").splitlines())
    return tuple(line for line in lines if line)


def chosen_commands(commands: Sequence[str], only: str, words: Sequence[str]) -> tuple[str, ...]:
    """The commands to run: all, or that of the task `only` with the words after it.

    Raises UsageError if no command has that task, and for words without a task.
    """
    if not only:
        if words:
            raise UsageError(
                f"-- {shlex.join(words)}: say with --only which command of the README takes these words"
            )
        return tuple(commands)
    by_task = {command.split()[1]: command for command in commands}
    if only not in by_task:
        raise UsageError(f"--only {only!r}: the README has no such command; {suggestion(only, by_task)}")
    return (shlex.join([*shlex.split(by_task[only]), *words]),)


def check_suite(suite: str) -> None:
    """Raises UsageError unless this is a suite whose users the README addresses."""
    if suite not in SUITES:
        raise UsageError(f"--suite {suite!r}: there is no such suite here; {suggestion(suite, SUITES)}")


def run_fresh(
    root: Path, suite: str, commands: Sequence[str], debian: Debian, say: Callable[[str], None]
) -> Fresh:
    """Makes an empty Debian and runs the commands there in a clone of HEAD of the checkout `root`;
    `say` gets each line of output as it comes.

    Raises FetchError if the Debian cannot be made, HostError if this host cannot, a command does
    not end, or the clone fails.
    """
    what = f"an empty Debian {suite}"
    words = _debian(debian, suite)
    with workplace("fresh-", what) as scratch:
        bundle, script = scratch / "clone.bundle", scratch / "script"
        deadline = Deadline(_GIT_SECONDS, f"cloning {root}")
        # `git bundle` would say less of a tree that is no checkout, or is another user's.
        for git in (("rev-parse", "--verify"), ("bundle", "create", "--quiet", str(bundle))):
            tool.run(["git", "-C", str(root), *git, "HEAD"], deadline)
        heard = _Heard(commands, say)
        script.write_text(_script(commands, heard.mark))
        for file in (bundle, script):
            file.chmod(0o644)  # mmdebstrap reads them as another user
        command = _command(scratch, [bundle, script], words)
        deadline = Deadline(_ROOT_SECONDS + len(commands) * _COMMAND_SECONDS, what)
        try:
            with tool.output_of(command, deadline) as output:
                while line := output.readline(_LINE):
                    heard.line(line.decode(errors="replace").rstrip("\n"))
        except tool.ToolFailed as error:
            raise heard.failure(what, error) from error
    if len(heard.done) < len(commands):
        raise HostError(f"{what} ended before `{commands[len(heard.done)]}` did")
    return Fresh(suite, tuple(heard.done), tuple(heard.versions))


def _debian(debian: Debian, suite: str) -> list[str]:
    """The end of mmdebstrap's command line: the suite, with its security updates if there are any,
    from the mirror of `debian`, reached as this host's apt reaches it.
    """
    known = {one.suite: one for one in debian.suites}
    main, security = known.get(suite, Suite(suite)), known.get(f"{suite}-security")
    apt = list(host_apt().connection)
    if not checks_valid_until(main):
        apt.append('Acquire::Check-Valid-Until "false";')
    sources = [source_line(debian, one) for one in (main, security) if one]
    return [*(f"--aptopt={option}" for option in apt), suite, "/dev/null", *sources]


def _script(commands: Sequence[str], mark: str) -> str:
    """What bash runs in the Debian. A line with `mark` is for us."""
    runs = (_RUN.format(mark=mark, number=number, command=command) for number, command in enumerate(commands))
    return "".join([_PREPARE, *runs, _VERSIONS.format(mark=mark)])


def _command(scratch: Path, files: Sequence[Path], debian: Sequence[str]) -> list[str]:
    return [
        # Root's mounts would else be seen on the host; other users' are in a namespace anyway.
        *(["unshare", "--mount"] if os.geteuid() == 0 else []),
        *(*ENDED_WITH_US, "sh", "-c", 'exec "$@" 2>&1', "sh", "env", f"TMPDIR={scratch}"),
        *(PROGRAM, "--mode=unshare", "--format=null"),
        *("--variant=minbase", f"--include={','.join(_PACKAGES)}"),
        *(
            [f"--customize-hook=copy-in {_CERTIFICATES} {_CERTIFICATES.parent}"]
            if _CERTIFICATES.is_dir()
            else []
        ),
        *(f"--customize-hook=upload {shlex.quote(str(file))} /root/{file.name}" for file in files),
        # A file, since mmdebstrap prints what stands here.
        f"""--customize-hook=cd "$1" && exec unshare --mount sh -c '{_ENTER}'""",
        *debian,
    ]


class _Heard:
    """What is heard of the Debian: passes lines on, and takes those with the mark for itself."""

    def __init__(self, commands: Sequence[str], say: Callable[[str], None]) -> None:
        self.mark = secrets.token_hex(16)  # nothing that runs there prints it by chance
        self.done: list[Done] = []
        self.versions: list[str] = []
        self._commands = commands
        self._say = say
        self._begun = 0.0
        self._last: deque[str] = deque(maxlen=_KEPT)

    def line(self, line: str) -> None:
        """Takes the next line."""
        before, found, words = line.partition(self.mark)
        if before:
            self._last.append(before)
            self._say(before)
        if not found:
            return
        kind, _, rest = words.strip().partition(" ")
        if kind == "begin":
            self._begun = time.monotonic()
            self._say(f"$ {self._commands[int(rest)]}")
        elif kind == "end":
            number, code = map(int, rest.split())
            self.done.append(Done(self._commands[number], code, time.monotonic() - self._begun))
        elif rest:  # none if it was not installed
            self.versions.append(rest)

    def failure(self, doing: str, error: tool.ToolFailed) -> FetchError:
        """Why mmdebstrap failed, in its own and apt's words."""
        error.output = "\n".join(self._last)
        return failure_of(error, doing)
