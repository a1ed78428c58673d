"""A search that is stopped with Ctrl-C in a real process, and goes on in the next one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from tests.end_to_end.digits import DIGITS, TEST_DATA, arrays_of

SPEC = """\
hap 1
import "digits.hap"
recipe searched {
    fold_batch_norm()
    rao(data = "many.npz", within = 2 points, eps = 1/32, cluster = false)
}
schedule s of digits with searched { }
"""
QUESTIONS = 1 + 4 * 5


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The digits, and so many images that a score takes a while."""
    for path in (DIGITS, DIGITS.with_suffix(".safetensors"), DIGITS.with_name("digits_calib.npz")):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "s.hap").write_text(SPEC, encoding="utf-8")
    many = {name: np.concatenate([array] * 6) for name, array in arrays_of(TEST_DATA).items()}
    np.savez(tmp_path / "many.npz", allow_pickle=False, **many)
    return tmp_path


def start(project: Path, cache: str, output: str) -> subprocess.Popen[str]:
    """`hapir run` with a cache of its own, its stderr a pipe."""
    environment = {**os.environ, "HAPIR_CACHE": str(project / cache)}
    environment.pop("HAPIR_NO_CACHE", None)
    command = [sys.executable, "-m", "hapir", "run", "s.hap", "--schedule", "s"]
    command += ["--input", "digits_calib.npz", "--output", output]
    return subprocess.Popen(command, cwd=project, env=environment, stdout=-1, stderr=-1, text=True)


def scores(project: Path, cache: str) -> list[str]:
    """The lines of the only journal of a cache."""
    journals = list((project / cache / "search").glob("*.jsonl")) if (project / cache / "search").is_dir() else []
    return [line for journal in journals for line in journal.read_text(encoding="utf-8").splitlines() if line]


def test_a_search_is_stopped_and_goes_on(project: Path) -> None:
    stopped = start(project, "cache", "stopped.npz")
    while len(scores(project, "cache")) < 3 and stopped.poll() is None:
        time.sleep(0.01)
    stopped.send_signal(signal.SIGINT)
    _, messages = stopped.communicate(timeout=60)
    assert (stopped.returncode, messages) == (130, "interrupted\n")
    known = scores(project, "cache")
    assert 3 <= len(known) < QUESTIONS
    assert not (project / "stopped.npz").exists()

    for cache, output in (("cache", "resumed.npz"), ("other", "whole.npz")):
        done = start(project, cache, output)
        _, messages = done.communicate(timeout=120)
        assert (done.returncode, messages) == (0, "")
    assert scores(project, "cache")[: len(known)] == known
    assert scores(project, "cache") == scores(project, "other")
    assert len(scores(project, "other")) == QUESTIONS
    assert (project / "resumed.npz").read_bytes() == (project / "whole.npz").read_bytes()
