from __future__ import annotations

from pathlib import Path

import pytest

from matrix.analysis.ledger.read import read_ledger
from matrix.script.known import Known, read_known
from tests.support.fakes import make_kernel
from vms.errors import UsageError


@pytest.fixture(scope="module")
def known() -> Known:
    return read_known(read_ledger())


def test_a_failure_is_explained_by_a_commit_on_builds_that_lack_it_only(known: Known) -> None:
    (said,) = known.why("nf_nat_edemux", make_kernel("6.1.192"))
    assert said == (
        "lacks netfilter: nf_nat: undo erroneous tcp edemux lookup after port clash"
        " (e27c3295114b, in mainline since 6.7)"
    )
    assert known.why("nf_nat_edemux", make_kernel("6.12.118")) == []
    assert known.why("nf_nat_other", make_kernel("6.1.192")) == []


def test_a_backport_counts(known: Known) -> None:
    lacking = {
        name: len(known.why("nft_fib", make_kernel(name))) for name in ("5.10.262", "6.1.192", "6.12.118")
    }
    assert lacking == {"5.10.262": 3, "6.1.192": 2, "6.12.118": 0}


def test_a_commit_of_the_ledger_explains_too(known: Known) -> None:
    (said,) = known.why("nft_conntrack_helper", make_kernel("5.10.262"))
    assert "remove nf_conntrack_helper sysctl" in said


def test_a_defect_of_a_test_is_one_on_each_kernel(known: Known) -> None:
    (said,) = known.why("nft_offload", make_kernel("7.3.4"))
    assert said.startswith("a defect of the test: without the module netdevsim")


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ('commit = "x"', "failure of a: there is no commit 'x'"),
        ('commit = "x"\ndefect = "y"', "failure of a: give `commit` or `defect`"),
        ("", "failure of a: give `commit` or `defect`"),
        ('because = "x"', "unknown field `because`"),
    ],
)
def test_a_wrong_entry_is_named(tmp_path: Path, entry: str, said: str) -> None:
    file = tmp_path / "known.toml"
    file.write_text(f'[commits]\n[[failure]]\nprogram = "a"\n{entry}\n')
    with pytest.raises(UsageError, match=said):
        read_known(read_ledger(), file)
