"""What the documentation tells its readers to run, run as they would: one command after another, in
a copy of the checkout, on real kernels. What is not run says why.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.documentation import NO_COMMANDS, PAGES, documented
from tests.support.project import ROOT
from vms.cache import Cache

pytestmark = pytest.mark.guest
_SECONDS = 1800

RUN = {
    "doctor": "ok .*QEMU: ",
    "kernels": "6\\.12 .*cloud",
    "cache": " GB in ",
    "completion bash": "bash-completion/completions/invoke",
    "manual": "read it with: man ",
    "docs": "dist/docs/index.html",
    "experiments": "table-full ",
    "catalogue": "docs/catalogue.md",
    "controls": "docs/controls.md",
    "bench --list": "^cells$",
    "lock": "matrix.lock",
    "lock --upgrade": "matrix.lock",
    "compare 6.18 7.2": "max-zero .*0 1.*0 0",
    "compare 6.1 6.12": "^experiment ",
    "upgrade 6.1 6.12": "^From 6\\.1\\.\\d+ .* to 6\\.12\\.",
    "site --output site": "site/index.html",
    "matrix --dry-run": "cells: 6 kernels",
    "experiments --new mine": "mine",
    "experiments --new my-question": "my_question",
    "matrix -k 6.1 -k 7.3 -e my-question": "4 pass",
    "controls -k 6.12 -e my-question": "docs/controls.md",
    "matrix -k 6.18 -k 7.2 -e max-zero": "2 pass",
    "matrix -k 6.12 -e 'table-full[family=ipv4,frontend=legacy,scope=root]'": "1 pass",
    "matrix -k newest -e baseline": "8 pass",
    "history --rebuild": "^max-zero",
    "history": "^max-zero",
    "history mangle_packets": "mangle_packets.svg",
    "export --form parquet --output run.parquet": "",
    "site --output site --run latest": "site/index.html",
    "site --output public --run latest": "public/index.html",
    "console 6.12": "Linux version 6\\.12",
    "shell 6.12": "^0$",
    "shell 6.12 --user": "^0$",
    "shell 6.12 --lab router": "inet 10.0.2.1",
    "shell 6.12 --command 'conntrack -C'": "^0$",
    "shell 6.12 --push reproduce.sh --pull /tmp/trace.pcap": "",
    "script check.py --push data.json -k lts -- --verbose": "6\\.12",
    "test --only unit -k ledger": " passed",
}
"""Commands in the order in which they are run, and a pattern of what they print. All end with 0."""

TYPED = {
    "shell 6.12": "conntrack -C\n",
    "shell 6.12 --user": "id -u\n",
    "shell 6.12 --lab router": "ip address\n",
    "shell 6.12 --push reproduce.sh --pull /tmp/trace.pcap": "./reproduce.sh >/tmp/trace.pcap\n",
}
"""What the reader types."""

WRITES = {
    "export --form parquet --output run.parquet": "run.parquet",
    "shell 6.12 --push reproduce.sh --pull /tmp/trace.pcap": "trace.pcap",
}
"""Files that silent commands write."""

NOT_RUN = {
    "asks the whole catalogue of a kernel at least, for minutes; test_fresh and test_matrix ask parts": (
        "matrix",
        "matrix -k 6.12",
        "matrix -k 6.1 -k 6.12",
        "matrix --again",
        "matrix --locked",
        "matrix --pristine",
        "matrix -k 5.10 -k 6.1 -k 6.12 -k 6.16.12 -k 6.17.13 -k 6.18 -k 7.2 -k 7.3",
        "matrix --backend virtme -k 6.12-generic",
        "ci",
        "controls -k 6.12",
        "reference",
    ),
    "asks every build of a series or every default kernel": (
        "matrix -k '6.12.*' -e table-full",
        "matrix -k 6.18..7.2 -e max-zero",
        "reference --extend",
        "reference --extend -k '6.12.*' --minutes 60",
        "script suite/ --user --timeout 300",
        "script test.bash --sysctl net.netfilter.nf_conntrack_max=7 -k '6.12.*'",
        "script test-1.bash --push send_syn.py --user",
        "script test-1.bash --push send_syn.py --user --sysctl net.netfilter.nf_conntrack_max=7",
    ),
    "needs the reader's kernel tree; test_kernel_sources and test_git_bisect ask one": (
        "matrix --backend virtme -k tree:.",
        "matrix --backend virtme -k tree:. -e baseline",
        "matrix -k mine=tree:../linux -k 7.3",
        "script ./reproduce.sh -k 6.1 -k 6.12 -k tree:../linux",
        "shell tree:../linux --gdb",
        "suite selftests:tree:../linux -k mine=tree:../linux",
        "verdict",
    ),
    "names a build or a run of the past; test_replay and test_bisect ask such": (
        "replay",
        "replay latest 6.12.118/max-zero",
        "replay 20261127-080105 6.1.192/table-full/family=ipv4,frontend=nft,scope=root",
        "bisect",
        "bisect 'inwindow-rst[family=ipv4,offset=inside]:lifetime' 6.12.107-1 6.12.118",
    ),
    "goes on until it is interrupted; test_watch, test_distributed and test_agents end it": (
        "watch",
        "watch my-question -k 6.1 -k 6.12",
        "watch my-question -k 6.1 -k 7.3",
        "watch 'table-full[family=ipv4,scope=root]' -k 6.12",
        "mcp",
        "scheduler",
        "scheduler --host 10.0.0.1",
        "worker tls://10.0.0.1:8786",
        "matrix --scheduler tls://10.0.0.1:8786",
    ),
    "needs nights before it; test_nightly has some": (
        "nightly",
        "nightly --json",
        "nightly --locked",
        "nightly --notify",
        "accept --why '6.12.118 backports the fix of 6.13, see the ledger'",
    ),
    "runs others' tests for minutes to hours; test_suites runs some": (
        "suite selftests:linux-source-6.12 -k 6.1 -k 6.12",
        "suite selftests:linux-source-6.12 -k 6.1 -k 6.12 --only 'conntrack_*' --only 'nft_*'",
        "suite directory:../my-tests -k lts",
        "suite directory:suite -k 6.1 -k 7.3 --timeout 1500",
    ),
    "makes an empty Debian; test_fresh makes one": (
        "fresh",
        "fresh --suite sid --only matrix -- -k 6.12 -e baseline",
        "fresh --suite bookworm --only test -- --only unit",
    ),
    "measures for minutes to hours": (
        "bench",
        "bench cells scaling",
        "bench history",
        "bench matrix soak endurance",
        "bench --json figures.json",
        "shell 6.12-generic --command true",
    ),
    "removes what other tests use; tests/unit/vms/test_prune.py has caches of its own": (
        "prune",
        "prune --keep 20GB",
    ),
    "would run the tests within the tests": (
        "test",
        "test --only unit",
        "test --only slow",
        "test --only unit -k deadline",
        "test --only guest -k test_machine",
    ),
    "is named without what it needs": ("compare", "script", "shell", "site", "suite", "upgrade"),
}
"""Why a command is not run here."""


def form(command: str) -> bool:
    """Whether the reader has to put something in the place of words in capitals."""
    return re.search(r"\b[A-Z]{2,}\b", command) is not None


def test_each_command_is_run_or_says_why_not_and_no_other_is_listed() -> None:
    found = {shlex.join(command.words) for page in PAGES for command in documented(page)}
    listed = [*RUN, *(command for commands in NOT_RUN.values() for command in commands)]
    assert len(listed) == len(set(listed))
    assert {command for command in found if not form(command)} - set(NO_COMMANDS) == set(listed)


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A reader's copy of the checkout as it is, and the files of theirs that the pages speak of."""
    checkout = tmp_path_factory.mktemp("reader") / "conntrack-matrix"
    subprocess.run(["git", "clone", "--quiet", ROOT, checkout], check=True)
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    for name in filter(None, tracked.stdout.split("\0")):
        shutil.copy2(ROOT / name, checkout / name, follow_symlinks=False)
    script = checkout / "reproduce.sh"
    script.write_text("#!/bin/sh\nconntrack -C\n")
    script.chmod(0o755)
    (checkout / "check.py").write_text("import json\njson.load(open('data.json'))\n")
    (checkout / "data.json").write_text("{}\n")
    return checkout


@pytest.mark.parametrize("command", RUN)
def test_a_documented_command_does_what_it_is_for(reader: Path, cache: Cache, command: str) -> None:
    home = reader.parent
    done = subprocess.run(
        [sys.executable, "-m", "commands", *shlex.split(command)],
        cwd=reader,
        env=os.environ
        | {"HOME": str(home), "XDG_DATA_HOME": str(home), "XDG_CACHE_HOME": str(cache.root.parent)},
        input=TYPED.get(command, ""),
        capture_output=True,
        text=True,
        check=False,
        timeout=_SECONDS,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert re.search(RUN[command], done.stdout, re.MULTILINE), done.stdout[-3000:]
    if command in WRITES:
        assert (reader / WRITES[command]).read_bytes()
