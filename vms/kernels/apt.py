"""A separate apt root: its lists, downloads and sources are in the cache, and nothing of the host's
apt is touched.

apt verifies what it fetches: Release files with the archive's keyring, package lists with the
Release file, packages with the sha256 in those lists. It runs as any user. Of the host's
configuration it uses only the mirror and how to reach it, so it behaves the same on every host:
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
SILENCE_SECONDS = 20  # a mirror that twice sends nothing for this long has failed
_SLOWEST_MIRROR = 100_000  # bytes per second; a slower download ends, and the next attempt resumes it
# The same on every host, whatever its apt.conf says. `any` makes a suite that cannot be fetched an
# error instead of a warning. There is no sandbox user, since it could not write to the cache.
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
# 404 Not Found, 410 Gone (RFC 9110, section 15.5), and apt's message about a file that a `file:`
# archive lacks.
_NOT_THERE = re.compile(r"(?<!\S)(?:404|410)(?!\S)|File not found")
# What apt's messages mean for the user, the most specific first. They quote gpgv or, since apt 3,
# sqv.
_MEANINGS = (
    ("No space left", DISK_FULL),
    ("is expired", "a Release file is past its Valid-Until date: the mirror is stale, or old lists are "
     "replayed. For an archive that stands still set `check_valid_until = false` on its suite"),
    ("is not valid yet", "a Release file is from the future: check this host's clock"),
    ("Not live until", "a Release file is from the future: check this host's clock"),
    ("BADSIG", "a Release file is not what was signed"),
    ("has been manipulated", "a Release file is not what was signed"),
    ("EXPKEYSIG", "a Release file is signed by a key that has expired: renew its suite's keyring"),
    ("Expired on", "a Release file is signed by a key that has expired: renew its suite's keyring"),
    ("is not considered secure", "a Release file is signed in a way that this host's apt does not trust"),
    ("data and signature failed", "a Release file is damaged"),
    ("Malformed", "a Release file is damaged"),
    ("igned file isn't valid", "a Release file is damaged, or another server answers instead of the mirror"),
    ("NO_PUBKEY", "a Release file is not signed by a key of its suite's keyring"),
    ("is not signed", "a Release file is not signed by a key of its suite's keyring"),
    ("does not have a Release file", "the mirror does not have one of the suites that matrix.toml names"),
    ("mismatch", "what the mirror sent is not what was signed"),
    ("unexpected size", "what the mirror sent is not what was signed"),
    ("Connection failed", "the mirror does not answer; `--offline` uses what is in the cache"),
    ("timed out", "the mirror does not answer; `--offline` uses what is in the cache"),
    ("imeout", "the mirror does not answer; `--offline` uses what is in the cache"),
    ("resolv", "the mirror's name cannot be resolved; `--offline` uses what is in the cache"),
    ("onnect", "the mirror cannot be reached; `--offline` uses what is in the cache"),
)  # fmt: skip


@dataclass(frozen=True)
class PackageList:
    """A verified list of packages: the file on this machine, the archive's URL, the suite."""

    path: Path
    archive: str
    suite: str


class Apt:
    """The apt root for one choice of suites, those that move on.

    Other choices have other roots. `sources` is its sources.list(5).
    """

    def __init__(self, settings: Debian, cache: Cache) -> None:
        self.sources = "".join(f"{source_line(settings, suite)}\n" for suite in settings.present)
        self.key = hashlib.sha256(self.sources.encode()).hexdigest()[:32]
        self.root = cache.path("apt", self.key)

    @property
    def updated(self) -> float:
        """The time of the last update of the lists, in seconds since the epoch; 0 if there was
        none.
        """
        try:
            return (self.root / "updated").stat().st_mtime
        except FileNotFoundError:
            return 0.0

    def stale(self, max_age: float) -> bool:
        """Whether the lists are older than `max_age` seconds, or from the future."""
        return not 0 <= time.time() - self.updated <= max_age

    def update(self) -> None:
        """Updates the lists of all suites.

        If one cannot be fetched or verified, raises FetchError and keeps the previous lists.
        """
        deadline = Deadline(_UPDATE_SECONDS, "updating the package lists")
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
        """The lists in this root."""
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
    """Downloads the package to `target`, resuming an earlier attempt, and checks its sha256.

    It ends as soon as more bytes arrive than the source signed.

    Raises FetchError if it cannot be fetched or is not what its source signed; then `target` is
    missing or holds a correct beginning.
    """
    deadline = Deadline(60 + package.size / _SLOWEST_MIRROR, f"downloading {package.name} {package.version}")
    begun = target.exists()
    try:
        _with_options([_HELPER, "download-file", package.url, str(target), *_signed(package)], deadline)
    except tool.ToolFailed as error:
        if re.search("mismatch|unexpected size", error.output):
            for wrong in (target, target.with_name(f"{target.name}.FAILED")):
                wrong.unlink(missing_ok=True)
            if begun:  # the earlier attempt may have left a wrong beginning
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


def _signed(package: Package) -> tuple[str, ...]:
    # With the size, apt ends a download that would be longer instead of taking all that is sent.
    return f"SHA256:{package.sha256}", f"Checksum-FileSize:{package.size}"


def vanished(package: Package) -> bool:
    """Whether the archive answers that it does not have the package. A download is started, and
    ended when the first bytes arrive.

    Raises FetchError if the archive gives no such answer.
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
    # apt reads APT_CONFIG first; its Dir::Etc keeps apt from reading the host's configuration.
    with tempfile.NamedTemporaryFile("w", suffix=".conf") as file:
        file.write(
            _OPTIONS % {"timeout": SILENCE_SECONDS} + "".join(f"{line}\n" for line in host_apt().connection)
        )
        file.flush()
        return tool.run(command, deadline, environment={"APT_CONFIG": file.name}, enough=enough)


def source_line(settings: Debian, suite: Suite) -> str:
    """The suite as a line of sources.list(5).

    Raises UsageError for an invalid suite, HostError if there is no mirror or keyring.
    """
    words = [_archive(settings, suite), suite.suite, *suite.components]
    keyring = suite.keyring or _debian_keyring()
    for word in (*words, keyring):
        if not word or re.search(r"[\s\[\]]", word):
            raise UsageError(f"suite {suite.suite!r}: {word!r} is not allowed in a list of apt sources")
    if not Path(keyring).is_file():
        raise UsageError(f"suite {suite.suite!r}: there is no keyring {keyring}")
    lenient = "" if checks_valid_until(suite) else " check-valid-until=no check-date=no"
    return f"deb [arch={ARCHITECTURE} signed-by={keyring}{lenient}] {' '.join(words)}"


def _archive(settings: Debian, suite: Suite) -> str:
    if suite.archive == "debian":
        found, setting = settings.mirror or host_apt().mirror, "mirror"
    elif suite.archive == "debian-security":
        found, setting = settings.security_mirror or host_apt().security_mirror, "security_mirror"
        main = settings.mirror or host_apt().mirror
        if not found and main.endswith("debian"):
            found = f"{main}-security"  # mirrors of both archives have them side by side
    else:
        found, setting = suite.archive, "archive"
    if not found:
        raise HostError(
            f"this host's apt configuration has no mirror for the suite {suite.suite}; set `{setting}` under"
            " [debian] in matrix.toml"
        )
    return found


def checks_valid_until(suite: Suite) -> bool:
    """Whether a Release file of the suite past its Valid-Until date is an error."""
    if suite.check_valid_until is not None:
        return suite.check_valid_until
    # The host's administrator decides whether the host's own mirror may lag behind.
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
