from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from invoke.context import Context

import tasks
from commands.collection import Tasks, by_name
from commands.manual import manual_page

CONTEXTS = by_name(Tasks.from_module(tasks))


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    with pytest.raises(SystemExit) as ended:
        tasks.manual(Context())
    assert ended.value.code == 0
    return tmp_path / "man" / "man1" / "conntrack-matrix.1"


def test_the_page_has_every_task_with_all_its_flags(page: Path) -> None:
    text = page.read_text().replace(r"\-", "-")
    parts = dict(re.findall(r"^\.SS (\S+).*\n((?:(?!\.S[SH]).*\n)*)", text, re.MULTILINE))
    assert set(parts) == set(tasks.__all__)
    for name, part in parts.items():
        for flag in (flag for flag in CONTEXTS[name].flags if flag.startswith("--")):
            positional = {one.name for one in CONTEXTS[name].positional_args}
            shown = flag[2:].upper() if flag[2:] in positional else flag
            assert shown in part, (name, flag)
        for argument in CONTEXTS[name].args.values():
            assert argument.help in part, (name, argument.name)


def test_no_text_of_a_task_is_a_request_or_an_escape_of_roff() -> None:
    text = manual_page({"cache": ".so /etc/passwd \\fB'x"}, CONTEXTS)
    assert "\n\\&.so /etc/passwd \\efB'x\n" in text


@pytest.mark.skipif(not shutil.which("mandoc"), reason="mandoc is not installed")
def test_mandoc_has_nothing_to_say_to_the_page(page: Path) -> None:
    command = ["mandoc", "-T", "lint", "-W", "warning", str(page)]
    assert subprocess.run(command, capture_output=True, text=True, check=False).stdout == ""
