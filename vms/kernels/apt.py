"""An apt of our own: its lists, its downloads and its sources lie in the cache, and nothing of the host's is touched.

apt verifies what it fetches: Release files against the archive's keyring, package lists against the Release file, packages
against the sha256 in those lists. It works as any user. From the host's configuration only the mirror and the proxies
are taken, so it behaves the same everywhere: apt.conf(5), sources.list(5).
"""

from __future__ import annotations

import functools
import hashlib
import re
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from vms import tool
from vms.cache import Cache
from vms.deadline import Deadline
from vms.errors import FetchError, HostError, UsageError
from vms.kernels.kernel import Package
from vms.settings import Debian, Suite

ARCHITECTURE = "amd64"
_HELPER = "/usr/lib/apt/apt-helper"
_KEYRINGS = ("/usr/share/keyrings/debian-archive-keyring.gpg", "/usr/share/keyrings/debian-archive-keyring.pgp")
_UPDATE_SECONDS = 300
_SLOWEST_MIRROR = 100_000  # bytes per second: a download slower than this is given up
_DEBIAN_SUITE = re.compile(
    r"(buster|bullseye|bookworm|trixie|forky|duke|sid|(old)*stable|testing|unstable|experimental)(?P<part>[-/](updates|backports|security))?"
)
# The same on every host, whatever its apt.conf says; `any` makes a suite that cannot be had an error instead of a warning.
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
Acquire::Check-Valid-Until "true";
Acquire::AllowInsecureRepositories "false";
Acquire::AllowDowngradeToInsecureRepositories "false";
Acquire::Retries "1";
Acquire::http::Timeout "20";
Acquire::https::Timeout "20";
Dpkg::Use-Pty "false";
"""


@dataclass(frozen=True)
class PackageList:
    """One verified list of packages: the file on this machine, the archive it belongs to, its suite."""

    path: Path
    archive: str
    suite: str


class Apt:
    """The apt root for one choice of suites. Roots for other choices lie beside it."""

    def __init__(self, settings: Debian, cache: Cache) -> None:
        self._sources = "".join(f"{line}\n" for line in _source_lines(settings))
        self.key = hashlib.sha256(self._sources.encode()).hexdigest()[:16]
        self.root = cache.path("apt", self.key)
        self._cache = cache

    @property
    def updated(self) -> float:
        """When the lists were last brought up to date, in seconds since the epoch; 0 if never."""
        try:
            return (self.root / "updated").stat().st_mtime
        except FileNotFoundError:
            return 0.0

    def update(self) -> None:
        """Brings the lists of all suites up to date. Raises FetchError, and keeps what it had, if one cannot be had or verified."""
        deadline = Deadline(_UPDATE_SECONDS, "bringing the package lists up to date")
        for directory in ("lists/partial", "archives/partial"):
            (self.root / directory).mkdir(parents=True, exist_ok=True)
        (self.root / "sources.list").write_text(self._sources)
        (self.root / "status").touch()
        try:
            tool.run(["apt-get", *self._directories(), "--quiet", "update"], deadline, environment=_environment(self._cache))
        except tool.ToolFailed as error:
            raise FetchError(_update_failure(error.output)) from error
        (self.root / "updated").touch()

    def package_lists(self) -> tuple[PackageList, ...]:
        """The lists that are here."""
        fields = "$(CREATED_BY)\t$(FILENAME)\t$(REPO_URI)\t$(RELEASE)"
        output = tool.run(
            ["apt-get", *self._directories(), "indextargets", "--format", fields],
            Deadline(30, "listing the package lists"),
            environment=_environment(self._cache),
        )
        rows = [line.split("\t") for line in output.splitlines() if line.startswith("Packages\t")]
        return tuple(PackageList(Path(path), archive, suite) for _, path, archive, suite in rows)

    def _directories(self) -> Iterator[str]:
        for name, path in (
            ("Dir::State", self.root),
            ("Dir::State::lists", self.root / "lists"),
            ("Dir::State::status", self.root / "status"),
            ("Dir::Cache", self.root),
            ("Dir::Etc::sourcelist", self.root / "sources.list"),
        ):
            yield f"-o{name}={path}"


def download(package: Package, target: Path, cache: Cache) -> None:
    """Downloads the package to `target`, going on where an earlier attempt stopped, and checks its sha256.

    Raises FetchError, and leaves nothing that is wrong, if it cannot be had or is not what the source signed.
    """
    deadline = Deadline(60 + package.size / _SLOWEST_MIRROR, f"downloading {package.name} {package.version}")
    command = [_HELPER, "download-file", package.url, str(target), f"SHA256:{package.sha256}"]
    environment = _environment(cache)
    resumed = target.exists()
    try:
        tool.run(command, deadline, environment=environment)
    except tool.ToolFailed as error:
        words = _apt_words(error.output)
        if "mismatch" in words or "unexpected size" in words:
            target.unlink(missing_ok=True)
            if resumed:  # what lay there may have been the wrong part; once more from the start
                download(package, target, cache)
                return
            raise FetchError(
                f"{deadline.what}: what {package.url} holds is not what the archive signed (sha256 {package.sha256}); it was thrown away. {words}"
            ) from error
        raise FetchError(f"{deadline.what} from {package.url}: {words}") from error
    with target.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != package.sha256:
        target.unlink()
        raise FetchError(f"{deadline.what}: sha256 is {digest}, the archive signed {package.sha256}; it was thrown away")


@functools.cache
def host_mirrors() -> tuple[str, str]:
    """The URLs of the Debian and the Debian security archive that this host's apt is configured with; empty where there is none.

    apt itself is asked, so one-line and deb822 sources are read alike (sources.list(5)).
    """
    output = tool.run(
        [
            "apt-get",
            "indextargets",
            "--no-release-info",
            "-oAPT::Get::IndexTargets::OnlyPresent=false",
            "--format",
            "$(CREATED_BY)\t$(REPO_URI)\t$(RELEASE)\t$(COMPONENT)",
        ],
        Deadline(30, "asking apt for this host's Debian mirror"),
    )
    main = security = ""
    for line in output.splitlines():
        kind, url, suite, component = line.split("\t")
        known = _DEBIAN_SUITE.fullmatch(suite)
        if kind != "Packages" or component != "main" or not known:
            continue
        # bullseye and later call it NAME-security, earlier releases NAME/updates.
        if known["part"] in ("-security", "/updates"):
            security = security or url.rstrip("/")
        else:
            main = main or url.rstrip("/")
    return main, security


def _source_lines(settings: Debian) -> Iterator[str]:
    found = ("", "")
    if any(suite.archive in ("debian", "debian-security") for suite in settings.suites):
        found = host_mirrors() if not (settings.mirror and settings.security_mirror) else found
    main = settings.mirror or found[0]
    security = settings.security_mirror or found[1] or (f"{main}-security" if main.endswith("debian") else "")
    for suite in settings.suites:
        url = {"debian": main, "debian-security": security}.get(suite.archive, suite.archive)
        if not url:
            setting = "mirror" if suite.archive == "debian" else "security_mirror"
            raise HostError(f"this host's apt names no mirror for suite {suite.suite}; set `{setting}` under [debian] in matrix.toml")
        words = [url, suite.suite, *suite.components]
        keyring = suite.keyring or _debian_keyring()
        for word in [*words, keyring]:
            if not word or re.search(r"[\s\[\]]", word):
                raise UsageError(f"suite {suite.suite!r}: {word!r} cannot stand in a list of apt sources")
        valid = "" if _checks_valid_until(suite) else " check-valid-until=no check-date=no"
        yield f"deb [arch={ARCHITECTURE} signed-by={keyring}{valid}] {' '.join(words)}"


def _checks_valid_until(suite: Suite) -> bool:
    if suite.check_valid_until is not None:
        return suite.check_valid_until
    if suite.archive not in ("debian", "debian-security"):
        return True
    # The mirror is the host's, so whether it may lag behind is for the host's administrator to say.
    return not re.search(r'(?m)^Acquire::Check-Valid-Until "(0|no|false|off|without|disable)";$', _host_configuration(), re.IGNORECASE)


@functools.cache
def _host_configuration() -> str:
    return tool.run(["apt-config", "--format", '%f "%v";%n', "dump"], Deadline(10, "reading this host's apt configuration"))


def _debian_keyring() -> str:
    for path in _KEYRINGS:
        if Path(path).exists():
            return path
    raise HostError("the keys of the Debian archive are not on this host; install the package debian-archive-keyring")


def _environment(cache: Cache) -> dict[str, str]:
    """Makes apt read our options and the host's proxies, and nothing else."""
    connection = re.compile(r"Acquire::https?::(?!Timeout)\S+ \"[^\"]+\";", re.IGNORECASE)
    text = _OPTIONS + "".join(f"{line}\n" for line in _host_configuration().splitlines() if connection.fullmatch(line))
    path = cache.root / "apt" / f"{hashlib.sha256(text.encode()).hexdigest()[:16]}.conf"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False) as file:
            file.write(text)
        Path(file.name).rename(path)
    return {"APT_CONFIG": str(path)}


def _apt_words(output: str) -> str:
    """What apt itself gave as its errors, else its last line."""
    lines = [line[3:] for line in output.splitlines() if line.startswith(("E: ", "W: "))]
    return " ".join(dict.fromkeys(lines)) or output.strip().rpartition("\n")[2] or "apt said nothing"


def _update_failure(output: str) -> str:
    words = _apt_words(output)
    for sign, meaning in (
        ("is expired", "a suite's Release file is past its Valid-Until date: the mirror is stale, or is replaying old lists. "
         "For an archive that stands still on purpose set `check_valid_until = false` on the suite"),
        ("is not valid yet", "a suite's Release file is from the future: is this host's clock right?"),
        ("does not have a Release file", "the mirror does not have one of the suites named in matrix.toml"),
        ("NO_PUBKEY", "a suite is not signed by the keys in its keyring"),
        ("is not signed", "a suite is not signed by the keys in its keyring"),
        ("BADSIG", "a suite's signature is wrong"),
        ("invalid signature", "a suite's signature is wrong"),
        ("mismatch", "a package list is not what the suite's Release file signed"),
        ("unexpected size", "a package list is not what the suite's Release file signed"),
        ("esolv", "the mirror's name cannot be resolved; without network, `--offline` uses the lists that are held"),
        ("onnect", "the mirror cannot be reached; without network, `--offline` uses the lists that are held"),
        ("timed out", "the mirror does not answer; `--offline` uses the lists that are held"),
    ):  # fmt: skip
        if sign in words:
            return f"bringing the package lists up to date: {meaning}. apt says: {words}"
    return f"bringing the package lists up to date: {words}"


def stale(updated: float, max_age: float) -> bool:
    """Whether lists updated then are older than `max_age` seconds now (or from the future)."""
    return not 0 <= time.time() - updated <= max_age
