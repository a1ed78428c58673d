"""Progress: nothing in a pipe, one line on a terminal that is gone when the work is done or stopped."""

from __future__ import annotations

import io
import sys

import pytest

from hapir.progress import Progress


class Terminal(io.StringIO):
    """A stderr that people look at."""

    def isatty(self) -> bool:
        return True


def work(steps: int, *, enabled: bool = True, stop: bool = False) -> None:
    with Progress(3, "evaluations of rao", enabled) as progress:
        for _ in range(steps):
            progress.step()
        if stop:
            raise KeyboardInterrupt


def test_nothing_in_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    work(3)
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("stop", [False, True])
def test_one_line_on_a_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], stop: bool
) -> None:
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    if stop:
        with pytest.raises(KeyboardInterrupt):
            work(2, stop=True)
    else:
        work(2)
    first, second, last, *rest = terminal.getvalue().split("\r\x1b[K")[1:]
    assert first.startswith("1/3 evaluations of rao, ")
    assert second.startswith("2/3 evaluations of rao, ")
    assert first.endswith(" s left")
    assert (last, rest) == ("", []), "the line is wiped"
    assert "\n" not in terminal.getvalue()
    assert capsys.readouterr().out == ""


def test_no_step_or_no_wish_shows_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    work(0)
    work(3, enabled=False)
    assert terminal.getvalue() == ""


def test_more_steps_than_announced_leave_no_time_below_zero(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    work(5)
    assert "-" not in terminal.getvalue()
