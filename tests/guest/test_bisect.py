"""A bisection over three real kernels, from the question to the pair and the ledger's commit."""

from __future__ import annotations

from pathlib import Path

import pytest

from guest.catalogue import load
from matrix.analysis.ledger.explain import Verdict as Explained
from matrix.analysis.ledger.read import read_ledger
from matrix.bisect.target import parse_target
from matrix.bisection import BisectRequest, run_bisection
from matrix.run.machines import Machines
from tests.support.fakes import Seen
from tests.support.project import CONFIG, ROOT
from tests.support.specs import kernels_of, project_with
from vms.cache import Cache
from vms.kernels.catalogue import Catalogue

pytestmark = pytest.mark.guest
FACT = "inwindow-rst[family=ipv4,offset=inside]:lifetime"


def test_a_change_between_two_series_is_found_and_explained(cache: Cache, tmp_path: Path) -> None:
    catalogue = load()
    project = project_with(cache, CONFIG.debian)
    request = BisectRequest(
        parse_target(FACT, catalogue),
        kernels_of(["6.1", "6.12", "7.3"], Catalogue.load(CONFIG.debian, cache), ROOT),
        catalogue,
        project.code,
        read_ledger(),
        Machines(project),
        cache,
        tmp_path / "results",
        2,
        ("bisect",),
        Seen(),
        offline=True,
    )
    found = run_bisection(request, pytest.fail)
    (interval,) = found.intervals
    assert (interval.left.build.series, interval.right.build.series) == ("6.1", "6.12")
    assert (found.old, found.new, found.asked) == ("10 s", "300 s", 3)
    assert interval.explained is Explained.EXPLAINED
    assert [commit.key for commit in interval.commits] == ["rst-unack"]
    assert (tmp_path / "results" / found.run / "report/bisect.md").is_file()
    # Another one takes the answers.
    assert run_bisection(request, pytest.fail).asked == 0
