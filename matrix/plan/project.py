"""A directory opened for work, a checkout or another: what every task begins with."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from guest.catalogue import Experiment
from matrix.plan.catalogue import own_directory, read_catalogue
from matrix.plan.code import code_digests
from matrix.plan.config import FILE, Config, config_of, read_config
from matrix.plan.plan import Choice
from matrix.plan.selection import choose
from vms.cache import Cache
from vms.errors import UsageError
from vms.files import write_whole
from vms.kernels import lock as locks
from vms.kernels.catalogue import HOURS, Catalogue
from vms.kernels.gone import find_gone
from vms.kernels.kernel import Kernel
from vms.kernels.select import Selection, select, select_existing
from vms.kernels.spec import Spec, parse
from vms.program import CODE

OWN = "my-experiments"
"""The directory for a user's first own experiment."""
_OWN_LINE = f'own_experiments = "{OWN}"'


def name_own_directory(root: Path, own: str) -> Path:
    """Writes a matrix.toml into the directory `root`, with the defaults and `own` as the directory
    of the user's own experiments, and returns its path.
    """
    line = f"own_experiments = {json.dumps(own, ensure_ascii=False)}"
    file = root / FILE
    write_whole(file, (CODE / FILE).read_text().replace(f"# {_OWN_LINE}", line).encode())
    return file


@dataclass(frozen=True)
class Project:
    """A directory, its configuration and the user's cache. Experiments and builds are read when
    they are first needed.

    `offline`: no archive is asked, and the package lists in the cache are used whatever their age;
    else those older than `max_age` seconds are brought up to date.
    """

    root: Path
    config: Config
    cache: Cache
    offline: bool = False
    max_age: float = 6 * HOURS

    @classmethod
    def open(cls, root: Path, *, offline: bool = False, max_age: float = 6 * HOURS) -> Project:
        """The directory `root` with its matrix.toml, or the default one, and this user's cache.

        Raises UsageError if matrix.toml cannot be read.
        """
        return cls(root, read_config(config_of(root)), Cache.default(), offline, max_age)

    @cached_property
    def own(self) -> Path | None:
        """The directory of the user's own experiments."""
        return own_directory(self.config.own_experiments, self.root)

    @cached_property
    def experiments(self) -> Mapping[str, Experiment]:
        """Every experiment by name. Raises UsageError for one of the user's that is broken."""
        return read_catalogue(self.own)

    @cached_property
    def code(self) -> Mapping[str, str]:
        """For each experiment a digest of the code that determines its answers."""
        return code_digests(self.experiments, self.own)

    @cached_property
    def builds(self) -> Catalogue:
        """Every kernel build of the configured suites. Raises FetchError as `Catalogue.load`."""
        return Catalogue.load(self.config.debian, self.cache, offline=self.offline, max_age=self.max_age)

    @property
    def place_for_new(self) -> Path:
        """The directory for a new experiment: that of the user's own, in a checkout without one the
        project's, elsewhere without a matrix.toml one that `adopt` names there.

        Raises UsageError if there is a matrix.toml that does not name the directory.
        """
        if self.own:
            return self.own
        if self.root == CODE:
            return CODE / "guest" / "experiments"
        file = self.root / FILE
        if os.path.lexists(file):
            raise UsageError(
                f"{file} names no directory for experiments of your own; create {self.root / OWN}, and write"
                f" {_OWN_LINE} above the first [section] of the file"
            )
        return self.root / OWN

    def adopt(self) -> Path | None:
        """After an experiment was written to `place_for_new`: writes a matrix.toml that names the
        directory, if one is needed, and returns it.
        """
        if self.own or self.root == CODE:
            return None
        return name_own_directory(self.root, OWN)

    def specs(self, texts: Sequence[str] = ()) -> tuple[Spec, ...]:
        """The texts of `--kernel` as specs; without any, those of matrix.toml.

        Raises UsageError that names the flag or the field and points at the wrong character.
        """
        source = "--kernel" if texts else f"{self.root / 'matrix.toml'}, `kernels`"
        specs = tuple(parse(text, source) for text in texts or self.config.kernels)
        if not specs:
            raise UsageError(f"{source} is empty; name kernels there or with --kernel")
        return specs

    def choices(self, texts: Sequence[str] = ()) -> tuple[Choice, ...]:
        """The experiments and variants that the texts of `--experiment` name; without any, those of
        matrix.toml.
        """
        return choose(texts or self.config.experiments, self.experiments)

    def select(self, specs: Sequence[Spec]) -> Selection:
        """The kernels that the specs mean now. Unless offline, the archives are asked which builds
        of ranges are gone.
        """
        return select(specs, self.builds, self.root, None if self.offline else self.find_gone)

    def find_gone(self, kernels: Sequence[Kernel]) -> frozenset[str]:
        """The ids of all builds known to be gone, after asking the archives about these."""
        return find_gone(kernels, self.builds, self.config.debian, self.cache)

    def select_locked(self, lock: locks.Lock, specs: Sequence[Spec]) -> Selection:
        """The kernels that the specs meant when the lock was made; no archive is asked."""
        return Selection(locks.kernels(lock, specs, self.root, self.builds), self.builds)

    def select_existing(self, specs: Sequence[Spec]) -> tuple[Kernel, ...]:
        """The kernels that the specs mean now; specs that mean nothing any more are skipped."""
        return select_existing(specs, self.builds, self.root)
