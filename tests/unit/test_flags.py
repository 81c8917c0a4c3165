"""Every flag of every task that takes a value, with values that mean nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from invoke.parser.argument import Argument

import tasks
from commands.__main__ import main
from commands.collection import Tasks
from commands.shell import ROOT

NEEDED: dict[str, tuple[str, ...]] = {
    "accept": ("--why=x",),
    "bisect": ("baseline[family=ipv4,frontend=nft,scope=root]:flows", "6.12.107", "6.12.118"),
    "compare": ("6.1", "6.12"),
    "completion": ("bash",),
    "console": ("6.12",),
    "export": ("csv", "--run=reference"),
    "replay": ("reference", "6.12.118/baseline/scope=root"),
    "script": ("invoke",),
    "shell": ("6.12",),
    "site": ("--output=no-such-directory",),
    "suite": ("directory:.",),
    "upgrade": ("6.1", "6.12"),
    "verdict": ("baseline[family=ipv4,frontend=nft,scope=root]:flows=10", "--kernel=6.12"),
    "watch": ("baseline",),
    "worker": ("tls://127.0.0.1:1",),
}
"""What a task needs besides the flag under test."""

WRONG = {
    "accept.run": ("reference1", "there is no run 'reference1'"),
    "accept.who": None,  # any text
    "accept.why": None,
    "bench.json": ("/tmp", "this is a directory; give the name of a file"),
    "bench.name": ("cellz", "no measurement is called 'cellz'; did you mean cells"),
    "bisect.accel": ("tgc", "--accel 'tgc': did you mean tcg?"),
    "bisect.fact": ("baselin:flows", "there is no experiment 'baselin'; did you mean baseline?"),
    "bisect.jobs": ("many", "--jobs 'many': give the number of guests"),
    "bisect.new": ("6.x", "NEW: expected a number"),
    "bisect.entry": ("A key", "--entry 'A key': give the key of a commit"),
    "bisect.old": ("6.x", "OLD: expected a number"),
    "compare.after": ("6.13", "no run has answers of a kernel '6.13'"),
    "compare.before": ("6.13", "no run has answers of a kernel '6.13'"),
    "completion.shell": ("bsh", "there is no completion for 'bsh'; did you mean bash"),
    "console.accel": ("tgc", "--accel 'tgc': did you mean tcg?"),
    "console.cpus": ("many", "--cpus 'many': give the number of virtual CPUs"),
    "console.kernel": ("newset", "did you mean newest?"),
    "console.memory": ("much", "--memory 'much': give the number of MiB"),
    "controls.experiment": ("baselin", "give the kernel to ask as well, for example -k 6.12"),
    "controls.kernel": ("newset", "did you mean newest?"),
    "doctor.accel": ("tgc", "--accel 'tgc': did you mean tcg?"),
    "experiments.new": ("a b", "'a b' cannot be an experiment's name"),
    "export.form": ("cvs", "there is no form 'cvs'; did you mean csv?"),
    "export.output": ("/tmp", "this is a directory; give the name of a file"),
    "export.run": ("referense", "there is no run 'referense'"),
    "fresh.only": ("matrx", "--only 'matrx': the README has no such command; did you mean matrix?"),
    "fresh.suite": ("trixi", "--suite 'trixi': there is no such suite here; did you mean trixie?"),
    "history.database": ("mysql://x/y", "history: mysql is not supported"),
    "history.fact": None,  # the history decides
    "matrix.accel": ("tgc", "--accel 'tgc': did you mean tcg?"),
    "matrix.experiment": ("baselin", "there is no experiment 'baselin'; did you mean baseline?"),
    "matrix.jobs": ("many", "--jobs 'many': give the number of guests"),
    "matrix.kernel": ("newset", "did you mean newest?"),
    "matrix.backend": ("vritme", "--backend 'vritme': did you mean virtme?"),
    "matrix.scheduler": ("nowhere", "nowhere is not the address of a scheduler; write tls://host:8786"),
    "nightly.accel": ("tgc", "--accel 'tgc': did you mean tcg?"),
    "nightly.experiment": ("tabel-full", "did you mean table-full?"),
    "nightly.kernel": ("newset", "did you mean newest?"),
    "nightly.notify": ("nowhere", "--notify 'nowhere': give a URL for JSON"),
    "nightly.jobs": ("many", "--jobs 'many': give the number of guests"),
    "prune.keep": ("much", "'much' is not a size; write for example 20GB"),
    "reference.kernel": ("6.12", "--kernel: give --extend as well"),
    "reference.minutes": ("many", "--minutes 'many': give the number of minutes"),
    "reference.run": ("referense", "there is no run 'referense'"),
    "replay.accel": ("tgc", "--accel 'tgc': did you mean tcg?"),
    "replay.cell": ("6.12.118/basline", "the run 20"),
    "replay.run": ("referense", "there is no run 'referense'"),
    "scheduler.host": None,  # the host's own resolver decides
    "scheduler.port": (
        "99999",
        "--port '99999': give the number of the port to listen on, at least 1",
    ),
    "script.accel": ("tgc", "--accel 'tgc': did you mean tcg?"),
    "script.cpus": ("many", "--cpus 'many': give the number of virtual CPUs"),
    "script.file": ("/nothing", "script /nothing: No such file or directory"),
    "script.ignore": ("(", "--ignore '(' is not a regular expression"),
    "script.jobs": ("many", "--jobs 'many': give the number of guests"),
    "script.kernel": ("newset", "did you mean newest?"),
    "script.memory": ("much", "--memory 'much': give the number of MiB"),
    "script.push": ("/nothing", "--push /nothing: no such file or directory"),
    "script.stdin": ("/nothing", "--stdin /nothing: No such file or directory"),
    "script.sysctl": ("max", "--sysctl 'max': give NAME=VALUE"),
    "script.timeout": ("long", "--timeout 'long': give the number of seconds"),
    "shell.accel": ("tgc", "--accel 'tgc': did you mean tcg?"),
    "shell.command": None,  # any command
    "shell.cpus": ("many", "--cpus 'many': give the number of virtual CPUs"),
    "shell.kernel": ("newset", "did you mean newest?"),
    "shell.lab": ("ruoter", "--lab 'ruoter': did you mean router?"),
    "shell.memory": ("much", "--memory 'much': give the number of MiB"),
    "shell.pull": ("/", "--pull '/': give FILE or FILE=COPY"),
    "shell.push": ("/nothing", "--push /nothing: no such file or directory"),
    "site.output": ("invoke", "--output 'invoke': this is a file; give a directory"),
    "site.run": ("reference1", "there is no run 'reference1'"),
    "suite.accel": ("tgc", "--accel 'tgc': did you mean tcg?"),
    "suite.cpus": ("many", "--cpus 'many': give the number of virtual CPUs"),
    "suite.jobs": ("many", "--jobs 'many': give the number of guests"),
    "suite.kernel": ("newset", "did you mean newest?"),
    "suite.memory": ("much", "--memory 'much': give the number of MiB"),
    "suite.only": ("nothing-*", "--only 'nothing-*': directory:"),
    "suite.packetdrill": ("/nothing", "--packetdrill '/nothing': there is no such file"),
    "suite.suite": ("selftest:x", "suites are named directory:PATH"),
    "suite.timeout": ("long", "--timeout 'long': give the number of seconds"),
    "test.k": None,  # pytest's own language
    "test.only": ("units", "--only 'units': there is no such kind of test; did you mean unit"),
    "upgrade.newer": ("6.13", "no run has answers of a kernel '6.13'"),
    "upgrade.older": ("6.13", "no run has answers of a kernel '6.13'"),
    "verdict.accel": ("tgc", "--accel 'tgc': did you mean tcg?"),
    "verdict.kernel": ("newset", "did you mean newest?"),
    "verdict.question": ("baselin:flows=7", "there is no experiment 'baselin'; did you mean baseline?"),
    "watch.accel": ("tgc", "--accel 'tgc': did you mean tcg?"),
    "watch.experiment": ("baselin", "there is no experiment 'baselin'; did you mean baseline?"),
    "watch.jobs": ("many", "--jobs 'many': give the number of guests"),
    "watch.kernel": ("newset", "did you mean newest?"),
    "worker.scheduler": ("nowhere", "nowhere is not the address of a scheduler; write tls://host:8786"),
    "worker.slots": ("many", "--slots 'many': give the number of guests"),
}
"""A value that means nothing and what is said to it; None if any text means something."""

COUNTS = (
    "console.cpus",
    "console.memory",
    "matrix.jobs",
    "nightly.jobs",
    "scheduler.port",
    "script.cpus",
    "script.jobs",
    "script.memory",
    "script.timeout",
    "shell.cpus",
    "shell.memory",
    "suite.cpus",
    "suite.jobs",
    "suite.memory",
    "suite.timeout",
    "watch.jobs",
    "worker.slots",
)


def flags() -> dict[str, Argument]:
    """Every argument that takes a value, by task and name."""
    contexts = Tasks.from_module(tasks).to_contexts()
    return {
        f"{context.name}.{argument.name}": argument
        for context in contexts
        for argument in context.args.values()
        if argument.takes_value
    }


def words(flag: str, value: str) -> list[str]:
    """The command line with this value of the flag and all else that its task needs."""
    task, _, name = flag.partition(".")
    argument = flags()[flag]
    needed = list(NEEDED.get(task, ()))
    if argument.positional and argument.kind is not list:
        positions = [one for one in flags() if one.startswith(f"{task}.") and flags()[one].positional]
        needed[positions.index(flag)] = value
    else:
        needed = [word for word in needed if not word.startswith(f"--{name}=")]
        needed += ["-k", value] if name == "k" else [f"--{name}={value}"]
    return [task, *needed]


Refusal = Callable[[str, str], str]


@pytest.fixture
def refusal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Refusal:
    """Gives a flag a value; the one message about wrong use."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.chdir(ROOT)

    def give(flag: str, value: str) -> str:
        with pytest.raises(SystemExit) as caught:
            main(words(flag, value))
        said = capsys.readouterr().err
        # `git bisect run` would take 2 for a bad commit.
        code = 128 if flag.startswith("verdict.") and value.strip() else 2
        assert caught.value.code == code, said
        assert said.startswith("error: ")
        assert "Traceback" not in said
        return said

    return give


def test_every_flag_with_a_value_is_tried() -> None:
    assert set(WRONG) == set(flags())


@pytest.mark.parametrize("flag", sorted(WRONG))
def test_an_empty_value_is_wrong_use_and_the_flag_is_named(flag: str, refusal: Refusal) -> None:
    assert flag.partition(".")[2] in refusal(flag, " ")


@pytest.mark.parametrize("flag", sorted(flag for flag, wrong in WRONG.items() if wrong))
def test_a_value_that_means_nothing_is_wrong_use_with_what_to_give(flag: str, refusal: Refusal) -> None:
    wrong = WRONG[flag]
    assert wrong
    assert wrong[1] in refusal(flag, wrong[0])


@pytest.mark.parametrize("flag", COUNTS)
def test_a_count_of_zero_is_wrong_use(flag: str, refusal: Refusal) -> None:
    assert "at least 1" in refusal(flag, "0")
