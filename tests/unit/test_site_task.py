"""What `./invoke site` refuses, and that it leaves the place as it was."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from invoke.context import Context

from commands import publishing
from tests.support.upgrades import LEFT, RIGHT, cell, save


def site(*runs: str, output: str) -> int | None:
    with pytest.raises(SystemExit) as caught:
        publishing.site(Context(), list(runs), output=output)
    assert isinstance(caught.value.code, int)
    return caught.value.code


@pytest.fixture(autouse=True)
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small record in place of the checkout's."""
    monkeypatch.setattr(publishing, "RESULTS", tmp_path / "results")
    save(tmp_path / "results", 1, cell(LEFT, "lookup", steps=9), cell(RIGHT, "lookup", steps=3))
    (tmp_path / "results" / "run-1").rename(tmp_path / "results" / "reference")
    return tmp_path / "results"


def refusal(capsys: pytest.CaptureFixture[str], *runs: str, output: str) -> str:
    assert site(*runs, output=output) == 2
    said = capsys.readouterr().err
    assert re.fullmatch("error: .*\n", said)
    return said


def test_a_site_is_written_and_written_again_in_place_of_it(tmp_path: Path) -> None:
    target = tmp_path / "out" / "site"
    assert site(output=str(target)) == 0
    (target / "index.html").write_text("damaged")
    assert site(output=str(target)) == 0
    assert b"From which kernel to which?" in (target / "index.html").read_bytes()


def test_a_run_of_the_user_adds_its_builds(tmp_path: Path, results: Path) -> None:
    save(results, 2, cell("6.12.8", "lookup", steps=9))
    target = tmp_path / "site"
    assert site(output=str(target)) == 0
    assert b">6.12.8<" not in (target / "index.html").read_bytes()
    assert site("run-2", output=str(target)) == 0
    assert b">6.12.8<" in (target / "index.html").read_bytes()


def test_an_unknown_run_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = refusal(capsys, "refrence", output=str(tmp_path / "site"))
    assert "there is no run 'refrence'" in said
    assert "did you mean reference?" in said
    assert not (tmp_path / "site").exists()


def test_without_a_record_and_a_run_there_is_nothing_to_write(
    results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (results / "reference" / "manifest.json").unlink()
    said = refusal(capsys, output=str(tmp_path / "site"))
    assert "give a run of your own, for example --run latest" in said


def test_a_directory_with_something_else_stays_as_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "thesis.txt").write_text("years")
    said = refusal(capsys, output=str(tmp_path / "home"))
    assert "neither empty nor a site that was written before; give another one" in said
    assert [path.name for path in (tmp_path / "home").iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize("below", ["", "/a/b"])
def test_a_file_is_no_directory(tmp_path: Path, capsys: pytest.CaptureFixture[str], below: str) -> None:
    (tmp_path / "file").write_text("")
    assert "give a directory that is empty or does not exist" in refusal(
        capsys, output=f"{tmp_path / 'file'}{below}"
    )


def test_a_directory_that_cannot_be_written_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.access", lambda path, _mode: path != tmp_path)  # root may write anywhere
    said = refusal(capsys, output=str(tmp_path / "a" / "site"))
    assert f"{tmp_path} cannot be written; make it writable, or give another directory" in said


def test_output_must_be_given(capsys: pytest.CaptureFixture[str]) -> None:
    assert "--output is missing" in refusal(capsys, output="")
