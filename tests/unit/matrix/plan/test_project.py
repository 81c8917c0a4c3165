from __future__ import annotations

from pathlib import Path

import pytest

from matrix.plan.catalogue import write_skeleton
from matrix.plan.project import Project
from tests.support.project import CONFIG, ROOT
from vms.errors import UsageError


def test_a_directory_without_matrix_toml_has_the_default_matrix(tmp_path: Path) -> None:
    assert Project.open(tmp_path).config == CONFIG


def test_a_matrix_toml_that_leads_nowhere_is_not_taken_for_none(tmp_path: Path) -> None:
    (tmp_path / "matrix.toml").symlink_to("nowhere")
    with pytest.raises(UsageError, match=r"cannot read .*/matrix\.toml: No such file"):
        Project.open(tmp_path)


def test_a_first_own_experiment_brings_a_matrix_toml_that_names_its_directory(tmp_path: Path) -> None:
    project = Project.open(tmp_path)
    path = write_skeleton("one-syn", {}, project.place_for_new)
    assert project.adopt() == tmp_path / "matrix.toml"
    again = Project.open(tmp_path)
    assert again.own == path.parent == tmp_path / "my-experiments"
    assert again.config.kernels == CONFIG.kernels
    assert again.place_for_new == path.parent
    assert again.adopt() is None


def test_a_matrix_toml_of_the_users_is_not_rewritten(tmp_path: Path) -> None:
    (tmp_path / "matrix.toml").write_text('kernels = ["6.1"]\n')
    with pytest.raises(UsageError, match='write own_experiments = "my-experiments" above the first'):
        _ = Project.open(tmp_path).place_for_new


def test_in_a_checkout_a_new_experiment_is_the_projects() -> None:
    project = Project.open(ROOT)
    assert project.place_for_new == ROOT / "guest" / "experiments"
    assert project.adopt() is None
