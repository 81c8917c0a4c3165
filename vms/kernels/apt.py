"""An apt of our own: its lists, its downloads and its sources lie in the cache, and nothing of the
host's is touched.

apt verifies what it fetches: Release files against the archive's keyring, package lists against the
Release file, packages against the sha256 in those lists. It works as any user. From the host's
configuration only the mirror and the way there are taken, so it behaves the same everywhere:
apt.conf(5), sources.list(5).
"""

from __future__ import annotations

import hashlib
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from vms import tool
from vms.cache import Cache
from vms.deadline import Deadline
from vms.errors import FetchError, HostError, UsageError, Vanished
from vms.files import DISK_FULL
from vms.kernels.host_apt import host_apt
from vms.kernels.kernel import Package
from vms.settings import Debian, Suite

ARCHITECTURE = "amd64"
_HELPER = "/usr/lib/apt/apt-helper"
_KEYRINGS = (
    "/usr/share/keyrings/debian-archive-keyring.gpg",
    "/usr/share/keyrings/debian-archive-keyring.pgp",
)
_UPDATE_SECONDS = 300
_ANSWER_SECONDS = 60
SILENCE_SECONDS = 20  # a mirror that sends nothing for so long, twice, is given up
_SLOWEST_MIRROR = 100_000  # bytes per second; a slower download is given up and gone on with the next time
# The same on every host, whatever its apt.conf says. `any` makes a suite that cannot be had an
# error instead of a warning. Only we read what is downloaded, and the sandbox user could not write
# to the cache.
_OPTIONS = f"""\
Dir::Etc::main "/dev/null";
Dir::Etc::parts "/dev/null";
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
APT::Architecture "{ARCHITECTURE}";
APT::Architectures "{ARCHITECTURE}";
APT::Sandbox::User "root";
APT::Update::Error-Mode "any";
Acquire::Languages "none";
Acquire::AllowInsecureRepositories "false";
Acquire::AllowDowngradeToInsecureRepositories "false";
Acquire::Retries "1";
Acquire::http::Timeout "%(timeout)d";
Acquire::https::Timeout "%(timeout)d";
"""
# 404 Not Found, 410 Gone (RFC 9110, section 15.5); apt says the same of a file that a `file:`
# archive lacks.
_NOT_THERE = re.compile(r"(?<!\S)(?:404|410)(?!\S)|File not found")
# What apt's words mean for the user, the more telling first.
_MEANINGS = (
    ("No space left", DISK_FULL),
    ("is expired", "a Release file is past its Valid-Until date: the mirror is stale, or somebody replays "
     "old lists. For an archive that stands still on purpose set `check_valid_until = false` on its suite"),
    ("is not valid yet", "a Release file is from the future: is this host's clock right?"),
    ("BADSIG", "a Release file is not what was signed"),
    ("NO_PUBKEY", "a Release file is not signed by a key of its suite's keyring"),
    ("is not signed", "a Release file is not signed by a key of its suite's keyring"),
    ("Clearsigned file isn't valid", "a Release file is damaged, or something else answers in the "
     "mirror's place"),
    ("does not have a Release file", "the mirror does not have one of the suites that matrix.toml names"),
    ("mismatch", "what the mirror sent is not what was signed"),
    ("unexpected size", "what the mirror sent is not what was signed"),
    ("Connection failed", "the mirror does not answer; `--offline` uses what is held"),
    ("timed out", "the mirror does not answer; `--offline` uses what is held"),
    ("imeout", "the mirror does not answer; `--offline` uses what is held"),
    ("resolv", "the mirror's name cannot be resolved; without network, `--offline` uses what is held"),
    ("onnect", "the mirror cannot be reached; without network, `--offline` uses what is held"),
)  # fmt: skip


@dataclass(frozen=True)
class PackageList:
    """One verified list of packages: the file on this machine, the archive's URL, the suite."""

    path: Path
    archive: str
    suite: str


class Apt:
    """The apt root for one choice of suites.

    Roots for other choices lie beside it. `sources` is its sources.list(5).
    """

    def __init__(self, settings: Debian, cache: Cache) -> None:
        self.sources = "".join(f"{source_line(settings, suite)}\n" for suite in settings.suites)
        self.key = hashlib.sha256(self.sources.encode()).hexdigest()[:32]
        self.root = cache.path("apt", self.key)

    @property
    def updated(self) -> float:
        """When the lists were last brought up to date, in seconds since the epoch; 0 if never."""
        try:
            return (self.root / "updated").stat().st_mtime
        except FileNotFoundError:
            return 0.0

    def stale(self, max_age: float) -> bool:
        """Whether the lists are older than `max_age` seconds, or from the future."""
        return not 0 <= time.time() - self.updated <= max_age

    def update(self) -> None:
        """Brings the lists of all suites up to date.

        Raises FetchError, and keeps what it had, if one cannot be had or verified.
        """
        deadline = Deadline(_UPDATE_SECONDS, "bringing the package lists up to date")
        partial = self.root / "lists" / "partial"
        partial.mkdir(parents=True, exist_ok=True)
        (self.root / "sources.list").write_text(self.sources)
        (self.root / "status").touch()
        try:
            self._apt_get(["--quiet", "update"], deadline)
        except tool.ToolFailed as error:
            raise failure_of(error, deadline.what) from error
        finally:
            shutil.rmtree(partial)
        (self.root / "updated").touch()

    def package_lists(self) -> tuple[PackageList, ...]:
        """The lists that are here."""
        fields = "$(CREATED_BY)\t$(FILENAME)\t$(REPO_URI)\t$(RELEASE)"
        output = self._apt_get(
            ["indextargets", "--format", fields], Deadline(30, "finding the package lists")
        )
        rows = [line.split("\t") for line in output.splitlines() if line.startswith("Packages\t")]
        return tuple(PackageList(Path(path), archive.rstrip("/"), suite) for _, path, archive, suite in rows)

    def _apt_get(self, words: Sequence[str], deadline: Deadline) -> str:
        places = {
            "Dir::State": self.root,
            "Dir::State::lists": self.root / "lists",
            "Dir::State::status": self.root / "status",
            "Dir::Cache": self.root,
            "Dir::Etc::sourcelist": self.root / "sources.list",
        }
        return _with_options(
            ["apt-get", *(f"-o{name}={path}" for name, path in places.items()), *words], deadline
        )


def download(package: Package, target: Path) -> None:
    """Downloads the package to `target`, going on where an earlier attempt stopped, and checks its
    sha256.

    Raises FetchError if it cannot be had or is not what its source signed; then `target` holds
    nothing or an honest beginning of it.
    """
    deadline = Deadline(60 + package.size / _SLOWEST_MIRROR, f"downloading {package.name} {package.version}")
    begun = target.exists()
    try:
        _with_options(
            [_HELPER, "download-file", package.url, str(target), f"SHA256:{package.sha256}"], deadline
        )
    except tool.ToolFailed as error:
        if re.search("mismatch|unexpected size", error.output):
            for wrong in (target, target.with_name(f"{target.name}.FAILED")):
                wrong.unlink(missing_ok=True)
            if begun:  # what lay there may have been the wrong beginning
                return download(package, target)
        raise failure_of(error, f"{deadline.what} from {package.url}") from error
    with target.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != package.sha256:
        target.unlink()
        raise FetchError(
            f"{deadline.what} from {package.url}: its sha256 is {digest}, the archive signed {package.sha256}"
        )
    return None


def vanished(package: Package) -> bool:
    """Whether the archive answers that it does not have the package: a download is begun, and ended
    with its first bytes.

    Raises FetchError if it does not answer that.
    """
    deadline = Deadline(_ANSWER_SECONDS, f"asking the archive for {package.name} {package.version}")
    with tempfile.TemporaryDirectory() as directory:
        target = Path(directory) / "package"
        try:
            _with_options(
                [_HELPER, "download-file", package.url, str(target)],
                deadline,
                lambda: _holds_anything(target),
            )
        except tool.ToolFailed as error:
            failure = failure_of(error, deadline.what)
            if isinstance(failure, Vanished):
                return True
            raise failure from error
    return False


def _holds_anything(path: Path) -> bool:
    return path.exists() and path.stat().st_size > 0


def _with_options(
    command: Sequence[str], deadline: Deadline, enough: Callable[[], bool] | None = None
) -> str:
    # APT_CONFIG is read first, and its Dir::Etc keeps apt from reading the host's configuration.
    with tempfile.NamedTemporaryFile("w", suffix=".conf") as file:
        file.write(
            _OPTIONS % {"timeout": SILENCE_SECONDS} + "".join(f"{line}\n" for line in host_apt().connection)
        )
        file.flush()
        return tool.run(command, deadline, environment={"APT_CONFIG": file.name}, enough=enough)


def source_line(settings: Debian, suite: Suite) -> str:
    """The suite as a line of sources.list(5).

    Raises UsageError for a suite that cannot be one, HostError without a mirror or keyring.
    """
    words = [_archive(settings, suite), suite.suite, *suite.components]
    keyring = suite.keyring or _debian_keyring()
    for word in (*words, keyring):
        if not word or re.search(r"[\s\[\]]", word):
            raise UsageError(f"suite {suite.suite!r}: {word!r} cannot stand in a list of apt sources")
    if not Path(keyring).is_file():
        raise UsageError(f"suite {suite.suite!r}: there is no keyring {keyring}")
    lenient = "" if _checks_valid_until(suite) else " check-valid-until=no check-date=no"
    return f"deb [arch={ARCHITECTURE} signed-by={keyring}{lenient}] {' '.join(words)}"


def _archive(settings: Debian, suite: Suite) -> str:
    if suite.archive == "debian":
        found, setting = settings.mirror or host_apt().mirror, "mirror"
    elif suite.archive == "debian-security":
        found, setting = settings.security_mirror or host_apt().security_mirror, "security_mirror"
        main = settings.mirror or host_apt().mirror
        if not found and main.endswith("debian"):
            found = f"{main}-security"  # mirrors that hold both keep them side by side
    else:
        found, setting = suite.archive, "archive"
    if not found:
        raise HostError(
            f"this host's apt names no mirror that has suite {suite.suite}; set `{setting}` under [debian] in"
            " matrix.toml"
        )
    return found


def _checks_valid_until(suite: Suite) -> bool:
    if suite.check_valid_until is not None:
        return suite.check_valid_until
    # Whether the host's own mirror may lag behind is for the host's administrator to say.
    return suite.archive not in ("debian", "debian-security") or host_apt().check_valid_until


def _debian_keyring() -> str:
    for path in _KEYRINGS:
        if Path(path).exists():
            return path
    raise HostError(
        "the keys of the Debian archive are not on this host; install the package debian-archive-keyring"
    )


def failure_of(error: tool.ToolFailed, doing: str) -> FetchError:
    """The error to raise when apt failed: Vanished if the archive answered that a file is gone."""
    said = [line[3:] for line in error.output.splitlines() if line.startswith(("E: ", "W: "))]
    words = " ".join(dict.fromkeys(said)) or error.output.strip().rpartition("\n")[2]
    for sign, meaning in _MEANINGS:
        if sign in words:
            return FetchError(f"{doing}: {meaning}. apt says: {words}")
    if _NOT_THERE.search(words):
        return Vanished(f"{doing}: the mirror does not have it. apt says: {words}")
    return FetchError(f"{doing}: apt says: {words}")
