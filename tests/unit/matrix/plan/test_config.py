from __future__ import annotations

from pathlib import Path

import pytest

from matrix.plan.config import Config, read_config
from tests.support.project import ROOT
from vms.errors import UsageError
from vms.settings import Suite


def read(tmp_path: Path, text: str) -> Config:
    path = tmp_path / "matrix.toml"
    path.write_text(text)
    return read_config(path)


def test_the_default_matrix_names_six_series_and_all_experiments() -> None:
    config = read_config(ROOT / "matrix.toml")
    assert config.kernels == ("5.10", "6.1", "6.12", "6.18", "7.2", "7.3")
    assert config.experiments == ("*",)


def test_what_a_file_leaves_out_is_as_in_the_default_matrix(tmp_path: Path) -> None:
    """Somebody may want one package or mirror more, and nothing else changed."""
    assert read(tmp_path, "") == Config() == read_config(ROOT / "matrix.toml")
    assert read(tmp_path, '[image]\npackages = ["iputils-ping"]').kernels == Config().kernels


def test_a_file_may_name_no_kernels(tmp_path: Path) -> None:
    assert read(tmp_path, "kernels = []").kernels == ()


def test_suites_can_be_written_as_tables_of_their_own(tmp_path: Path) -> None:
    text = """
        [[debian.suites]]
        suite = "sid"
        [[debian.suites]]
        suite = "mine"
        archive = "https://example.org/debian"
        components = ["main", "extra"]
        """
    assert read(tmp_path, text).debian.suites == (
        Suite("sid"),
        Suite("mine", "https://example.org/debian", ("main", "extra")),
    )


@pytest.mark.parametrize(
    ("text", "line", "field", "said"),
    [
        ('# mine\nkernels = "6.1"\n', 2, "kernels", "expected `array`, got `str`"),
        ('kernels = ["6.1", 6.12]\n', 1, "kernels[1]", "expected `str`, got `float`"),
        ('kernels = [\n    "6.1",\n    6.12,\n]\n', 3, "kernels[1]", "expected `str`, got `float`"),
        ('kernels = ["6.1"]\nkernel = ["6.1"]\n', 2, "kernel", "did you mean kernels"),
        ('[debian]\nmirrors = "x"\n', 2, "debian.mirrors", "did you mean mirror"),
        (
            '[debian]\nmirror = "x"\nsuites = [\n  { suite = "sid" },\n  { suite = "a", archiv = "b" },\n]\n',
            5,
            "debian.suites[1].archiv",
            "archive?",
        ),
        (
            '[[debian.suites]]\nsuite = "sid"\n\n[[debian.suites]]\nsuite = 3\n',
            5,
            "debian.suites[1].suite",
            "expected `str`, got `int`",
        ),
        (
            '[[debian.suites]]\nsuite = "sid"\n\n[[debian.suites]]\nsuite = "sid"\nsnapshots = ["1"]\n',
            4,
            "debian.suites[1]",
            "give both or neither",
        ),
        ('[[debian.suites]]\narchive = "debian"\n', 1, "debian.suites[0]", "missing required field `suite`"),
    ],
)
def test_a_wrong_field_is_named_with_its_file_and_line(
    tmp_path: Path, text: str, line: int, field: str, said: str
) -> None:
    with pytest.raises(UsageError) as caught:
        read(tmp_path, text)
    message = str(caught.value)
    assert message.startswith(f"{tmp_path}/matrix.toml, line {line}, `{field}`: ")
    assert said in message


def test_broken_toml_says_where(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"matrix\.toml is not valid TOML: .*line 2"):
        read(tmp_path, 'experiments = ["*"]\nkernels = [1 2]\n')


@pytest.mark.parametrize("value", ["[" * 5_000, "9" * 5_000], ids=["deep", "long"])
def test_toml_that_python_cannot_hold_says_so(tmp_path: Path, value: str) -> None:
    with pytest.raises(UsageError, match=r"matrix\.toml is not valid TOML"):
        read(tmp_path, f"kernels = {value}")


def test_a_missing_file_says_so(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"cannot read .*nowhere.*No such file"):
        read_config(tmp_path / "nowhere.toml")


def test_bytes_that_are_no_text_say_so(tmp_path: Path) -> None:
    (tmp_path / "matrix.toml").write_bytes(b"kernels = ['\xff']")
    with pytest.raises(UsageError, match="not UTF-8 text"):
        read_config(tmp_path / "matrix.toml")


def test_how_much_the_cache_keeps(tmp_path: Path) -> None:
    assert read(tmp_path, "").cache.size == 20_000_000_000
    assert read(tmp_path, '[cache]\nkeep = "1.5 TB"\n').cache.size == 1_500_000_000_000


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            '\n[cache]\nkeep = "much"\n',
            "line 2, `cache`: keep = 'much' is not a size; write for example 20GB",
        ),
        (
            '\n[image]\npackages = ["socat", "a,b"]\n',
            "line 2, `image`: packages: 'a,b' cannot be a Debian package's name",
        ),
        ("\n[cache]\nkeep = 20\n", "line 3, `cache.keep`: expected `str`, got `int`"),
        ('\n[cache]\nkeeps = "20GB"\n', "line 3, `cache.keeps`: unknown field; did you mean keep?"),
    ],
)
def test_a_bound_that_is_none(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        read(tmp_path, text)
    assert said in str(caught.value)
