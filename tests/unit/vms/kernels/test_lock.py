from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.packages import bzimage, catalogue_of, entry
from tests.support.specs import specs_of
from vms.errors import FetchError, UsageError
from vms.kernels import lock as locks

OLD = catalogue_of(entry("6.1.0-55", "6.1.192-1"), entry("6.12.117", "6.12.117-1"))
NEW = catalogue_of(*OLD.kernels, entry("6.12.118", "6.12.118-1"), entry("7.3", "7.3-1"))
HERE = Path()


def versions(lock: locks.Lock, *specs: str) -> list[str]:
    return [kernel.version for kernel in locks.kernels(lock, specs_of(specs), HERE)]


def test_what_is_written_is_what_is_read(tmp_path: Path) -> None:
    lock = locks.make(specs_of(["6.1", "mine=6.12"]), OLD, HERE)
    locks.write(lock, tmp_path / "matrix.lock")
    assert locks.read(tmp_path / "matrix.lock") == lock
    assert [path.name for path in tmp_path.iterdir()] == ["matrix.lock"]
    packages = json.loads((tmp_path / "matrix.lock").read_text())["locked"][0]["kernels"][0]["packages"]
    assert packages[0].keys() == {"name", "version", "sha256", "size", "url"}


def test_the_same_lock_is_the_same_text(tmp_path: Path) -> None:
    for name in ("a", "b"):
        locks.write(locks.make(specs_of(["6.1.*", "6.12"]), OLD, HERE), tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_newer_builds_do_not_move_a_lock() -> None:
    lock = locks.make(specs_of(["6.12"]), OLD, HERE)
    assert versions(locks.make(specs_of(["6.12"]), NEW, HERE, lock), "6.12") == ["6.12.117-1"]


def test_a_new_spec_joins_it_and_an_old_one_leaves() -> None:
    lock = locks.make(specs_of(["7.3", "6.12"]), NEW, HERE, locks.make(specs_of(["6.1", "6.12"]), OLD, HERE))
    assert [locked.spec for locked in lock.locked] == ["7.3", "6.12"]
    assert versions(lock, "6.12", "7.3") == ["6.12.117-1", "7.3-1"]


def test_without_the_old_one_everything_moves() -> None:
    assert versions(locks.make(specs_of(["6.12"]), NEW, HERE), "6.12") == ["6.12.118-1"]


def test_a_name_of_ones_own_is_kept() -> None:
    lock = locks.make(specs_of(["mine=6.12"]), OLD, HERE)
    assert [kernel.name for kernel in locks.kernels(lock, specs_of(["mine=6.12"]), HERE)] == ["mine"]


def test_a_spec_that_is_not_locked() -> None:
    with pytest.raises(
        UsageError, match=r"'7\.3' is not in the lock file, which holds 6\.12; `\./invoke lock` adds it"
    ):
        locks.kernels(locks.make(specs_of(["6.12"]), OLD, HERE), specs_of(["7.3"]), HERE)


def test_packages_come_from_this_machines_mirror_where_it_has_them() -> None:
    lock = locks.make(specs_of(["6.1", "6.12"]), OLD, HERE)
    near = entry("6.12.117", "6.12.117-1")
    near = replace(near, packages=(replace(near.packages[0], url="http://near.invalid/x.deb"),))
    first, second = locks.kernels(lock, specs_of(["6.1", "6.12"]), HERE, catalogue_of(near))
    assert first.packages[0].url.startswith("http://mirror.invalid/")
    assert second.packages[0].url == "http://near.invalid/x.deb"
    assert second.packages[0].sha256 == lock.locked[1].kernels[0].packages[0].sha256


def test_which_kernels_are_new() -> None:
    lock = locks.make(specs_of(["6.1", "6.12"]), OLD, HERE)
    assert [kernel.version for kernel in locks.new_since(lock, NEW.kernels)] == ["6.12.118-1", "7.3-1"]


def test_a_kernel_on_this_machine_must_be_what_it_was(tmp_path: Path) -> None:
    bzimage(tmp_path / "vmlinuz", "6.6.1")
    lock = locks.make(specs_of(["image:vmlinuz"]), OLD, tmp_path)
    (kernel,) = locks.kernels(lock, specs_of(["image:vmlinuz"]), tmp_path)
    assert kernel.release == "6.6.1"
    bzimage(tmp_path / "vmlinuz", "6.6.2")
    with pytest.raises(FetchError, match=r"vmlinuz has changed since it was locked"):
        locks.kernels(lock, specs_of(["image:vmlinuz"]), tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, r"No such file or directory; `\./invoke lock` creates it"),
        ("{", "is not a lock file"),
        pytest.param('{"more":' + "[" * 1_000_000, "is not a lock file: it is nested too deeply", id="deep"),
        (
            '{"locked": [{"spec": "6.1", "kernels": [{"name": 1}]}]}',
            r"is not a lock file: .*\$\.locked\[0\]\.kernels\[0\]",
        ),
        (
            '{"packages": {}, "form": 9}',
            r"has form 9 and was written by a newer version .* reads form 1: .*`\./invoke lock --upgrade`",
        ),
        ('{"locked": [], "form": 0}', r"has form 0 and was written by an older version"),
    ],
)
@pytest.mark.fault(
    phase="start", fault="lock file damaged", outcome="refused with file and field; exit code 2"
)
def test_a_lock_file_that_cannot_be_read(tmp_path: Path, text: str | None, message: str) -> None:
    if text is not None:
        (tmp_path / "matrix.lock").write_text(text)
    with pytest.raises(UsageError, match=message):
        locks.read(tmp_path / "matrix.lock")
