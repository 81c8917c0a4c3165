"""What `./invoke reference` refuses before it looks at any run."""

from __future__ import annotations

import pytest
from invoke.context import Context

from commands import publishing


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"run": ["latest"], "kernel": [], "extend": True}, "--run: with --extend the record is asked for"),
        ({"run": [], "kernel": ["6.12"]}, "--kernel: give --extend as well"),
        ({"run": [], "kernel": [], "minutes": "60"}, "--minutes: give --extend as well"),
        (
            {"run": [], "kernel": [], "extend": True, "minutes": "0"},
            "--minutes '0': give the number of minutes",
        ),
    ],
)
def test_flags_that_do_not_go_together_are_refused(
    capsys: pytest.CaptureFixture[str], flags: dict[str, object], message: str
) -> None:
    with pytest.raises(SystemExit) as caught:
        publishing.reference(Context(), **flags)
    assert caught.value.code == 2
    assert message in capsys.readouterr().err
