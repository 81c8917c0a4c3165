from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from matrix.agents.jobs import Jobs
from matrix.agents.reading import Reader
from matrix.agents.tools import call, tools
from matrix.history.database import database_url
from matrix.history.rebuild import rebuild
from matrix.results.record import FactValue, Record, Status
from tests.support.answered import write_run
from tests.support.project import ROOT
from vms.errors import UsageError
from vms.kernels.order import series_of

KERNELS = ["6.1.2", "6.12.3"]
VARIANT = {"family": "ipv4", "frontend": "nft", "scope": "root"}


def record(kernel: str, **facts: FactValue) -> Record:
    return Record(kernel, "baseline", VARIANT, Status.PASS, dict(facts))


def answer(results: Path, tool: str, **arguments: Any) -> Any:
    known = tools(Reader(ROOT, results), Jobs(["false"], {}, ROOT))
    return json.loads(call(known, tool, arguments))


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """Two runs; in the second the newer kernel answers something else."""
    write_run(tmp_path, "2026-01-01", KERNELS, [record(kernel, packets=10, flows=10) for kernel in KERNELS])
    write_run(tmp_path, "2026-01-02", KERNELS, [record("6.12.3", packets=10, flows=7)])
    return tmp_path


@pytest.fixture
def published(tmp_path: Path) -> Path:
    """The published run alone."""
    shutil.copytree(ROOT / "results" / "reference", tmp_path / "published")
    return tmp_path


def test_the_published_run_tells_which_kernel_loses_the_reset_inside_the_window_and_by_which_commit(
    published: Path,
) -> None:
    found = answer(published, "explain", experiment="inwindow-rst", fact="lifetime")
    row = found["rows"]["items"][0]
    assert row["variants"] == "offset=inside"
    first = row["changes"][0]
    assert (series_of(first["newer"]), first["before"], first["after"]) == ("6.12", "10 s", "300 s")
    (key,) = first["commits"]
    assert found["commits"][key]["link"].endswith("bf80e6802273a900311b44e47c9b1a59c6d2473c")
    lost = [change["newer"] for change in row["changes"] if change.get("lost") == [key]]
    assert [series_of(build) for build in lost] == ["6.16"]


def test_small_answers_come_first(published: Path) -> None:
    for tool, arguments in (
        ("kernels", {}),
        ("experiments", {}),
        ("explain", {"experiment": "inwindow-rst"}),
        ("compare", {"before": "6.1", "after": "6.12"}),
        ("upgrade", {"older": "6.1", "newer": "6.12"}),
    ):
        assert len(json.dumps(answer(published, tool, **arguments))) < 16_000, tool


def test_kernels_are_those_with_answers(results: Path) -> None:
    assert answer(results, "kernels") == {
        "total": 2,
        "items": [
            {"kernel": "6.1.2", "version": "6.1.2-1", "answers": 1},
            {"kernel": "6.12.3", "version": "6.12.3-1", "answers": 1},
        ],
    }


def test_pages_follow_each_other_to_the_end(results: Path) -> None:
    first = answer(results, "kernels", limit=1)
    assert (first["items"][0]["kernel"], first["next"]) == ("6.1.2", 1)
    second = answer(results, "kernels", limit=1, offset=first["next"])
    assert second["items"][0]["kernel"] == "6.12.3"
    assert "next" not in second


def test_an_experiment_is_found_by_a_word_and_told_with_its_facts_by_its_name(results: Path) -> None:
    found = answer(results, "experiments", search="RESET inside")
    assert [one["name"] for one in found["items"]] == ["inwindow-rst"]
    (one,) = answer(results, "experiments", search="inwindow-rst")["items"]
    assert one["variants"]["offset"] == ["exact", "inside", "outside"]
    assert "lifetime" in one["facts"]


def test_a_comparison_has_what_differs_with_the_verdict(results: Path) -> None:
    found = answer(results, "compare", before="6.1", after="6.12")
    assert found["counts"] == {"same": 1, "changed": 1}
    (line,) = found["differing"]["items"]
    assert (line["fact"], line["before"], line["after"], line["verdict"]) == (
        "flows",
        "10",
        "7",
        "unexplained",
    )
    assert answer(results, "compare", before="6.1", after="6.12", experiment="max-zero")["differing"] == {
        "total": 0,
        "items": [],
    }


@pytest.mark.parametrize("spec", ["/etc", "../secret", "..", "2026-01-01/../x:6.1"])
def test_only_runs_among_the_results_are_read(results: Path, spec: str) -> None:
    with pytest.raises(UsageError, match=r"give a kernel, the name of a run under results/"):
        answer(results, "compare", before=spec, after="6.12")


def test_an_upgrade_is_told_most_serious_first(results: Path) -> None:
    found = answer(results, "upgrade", older="6.1", newer="6.12")
    assert found["title"].startswith("From 6.1.2 ")
    (item,) = found["items"]["items"]
    assert item["section"] == "Changes that no known commit explains"
    assert item["seen"] == ["baseline: flows (flows in the table afterwards) was 10, is 7"]


def test_the_history_of_a_fact_has_what_it_was_before(results: Path) -> None:
    with pytest.raises(UsageError, match="no run is in the history yet"):
        answer(results, "history")
    rebuild(database_url("", results), results)
    assert answer(results, "history")["items"] == ["baseline.flows", "baseline.packets"]
    lines = answer(results, "history", fact="flows")["items"]
    assert [(line["kernel"], line["value"], line.get("before")) for line in lines] == [
        ("6.1.2", "10", None),
        ("6.12.3", "7", ["10 until 2026-01-01"]),
    ]


def test_what_a_guest_wrote_commands_no_terminal(results: Path) -> None:
    write_run(results, "2026-01-03", KERNELS, [record("6.12.3", packets="\x1b[31m" + "x" * 9_999, flows=1)])
    text = call(
        tools(Reader(ROOT, results), Jobs(["false"], {}, ROOT)), "explain", {"experiment": "baseline"}
    )
    assert "\\u001b" not in text
    assert "␛[31mxxx" in text
    assert len(text) < 3_000


@pytest.mark.parametrize(
    ("tool", "arguments", "said"),
    [
        ("kernel", {}, "there is no tool 'kernel'; did you mean kernels?"),
        ("kernels", {"limit": 0}, "kernels: Expected `int` >= 1 - at `limit`"),
        ("kernels", {"limit": 101}, "kernels: Expected `int` <= 100 - at `limit`"),
        ("kernels", {"ofset": 1}, "kernels: Object contains unknown field `ofset`"),
        ("explain", {}, "explain: Object missing required field `experiment`"),
        ("explain", {"experiment": "x" * 201}, "explain: Expected `str` of length <= 200 - at `experiment`"),
        ("explain", {"experiment": "baselin"}, "there is no experiment 'baselin'; did you mean baseline?"),
        ("explain", {"experiment": "baseline", "fact": "flow"}, "has no fact 'flow'; did you mean flows?"),
        ("explain", {"experiment": "max-zero"}, "no run has answers to max-zero; `./invoke matrix"),
        ("compare", {"before": "6.1", "after": "6.13"}, "no run has answers of a kernel '6.13'"),
        ("ask", {"kernel": "tree:/x", "experiment": "baseline"}, "'tree:/x' is not one kernel of Debian's"),
        ("ask", {"kernel": "all", "experiment": "baseline"}, "'all' is not one kernel of Debian's archive"),
        ("ask", {"kernel": "5.10..7.3", "experiment": "baseline"}, "is not one kernel of Debian's archive"),
        ("ask", {"kernel": "6.12.*", "experiment": "baseline"}, "is not one kernel of Debian's archive"),
        ("ask", {"kernel": "6.12", "experiment": "*"}, "experiment: '*' names "),
        ("ask", {"kernel": "6.12 -x", "experiment": "baseline"}, "kernel"),
        ("ask", {"kernel": "6.12", "experiment": "baselin"}, "there is no experiment 'baselin'"),
        ("job", {"job": 7}, "there is no job 7; the jobs are: none"),
    ],
)  # fmt: skip
def test_a_wrong_argument_is_one_message_that_names_it(
    results: Path, tool: str, arguments: dict[str, Any], said: str
) -> None:
    with pytest.raises(UsageError) as caught:
        answer(results, tool, **arguments)
    assert said in str(caught.value)
