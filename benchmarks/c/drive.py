"""Workers, turns and statistics: how the times of a row come about.

Every tool has one process, pinned to the same core. A row's models are loaded and their outputs compared; then each
runs a burst in turn, and again for some rounds, so that what disturbs the machine disturbs all alike. The time of a
round is CPU time per call; reported are medians over rounds. A ratio is the median of the rounds' ratios, with the
smallest and the largest.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, Any

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Settings:
    """How long to measure, and where."""

    rounds: int
    burst_seconds: float
    core: int


class PeerError(Exception):
    """A tool that fails or gives other results."""


class Worker:
    """A process that runs one tool."""

    def __init__(self, peer: str, core: int, log: IO[str], python: str = sys.executable):
        single = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
        quiet = {"NM_DISABLE_ANALYTICS": "1", "OPENVINO_TELEMETRY_ENABLED": "0", "TF_CPP_MIN_LOG_LEVEL": "3"}
        self.peer = peer
        self.process = subprocess.Popen(
            [python, "-m", "benchmarks.c.worker", peer, str(core)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": str(ROOT)} | single | quiet,
        )

    def ask(self, **question: Any) -> dict[str, Any]:
        """One question and its answer. Raises PeerError where the tool fails or its process ends."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        try:
            print(json.dumps(question), file=self.process.stdin, flush=True)
            line = self.process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise PeerError(f"its process ended with {self.process.wait()}")
        answer = json.loads(line)
        if "error" in answer:
            raise PeerError(answer["error"])
        return answer

    def close(self) -> None:
        """End the process."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


class Workers:
    """The processes of a run, one per label, started when first needed; one that died is started again."""

    def __init__(self, core: int, log: Path, pythons: dict[str, str]):
        self.core, self.pythons = core, pythons
        self.log = log.open("w", encoding="utf-8")
        self.running: dict[str, Worker] = {}

    def __enter__(self) -> Workers:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for worker in self.running.values():
            worker.close()
        self.log.close()

    def of(self, label: str, peer: str) -> Worker:
        """The process of a tool; a tool that takes part twice has one per label."""
        worker = self.running.get(label)
        if worker is None or worker.process.poll() is not None:
            worker = Worker(peer, self.core, self.log, self.pythons.get(peer, sys.executable))
            self.running[label] = worker
        return worker


@dataclass
class Times:
    """Seconds per call of each label in each round, and why others have none."""

    seconds: dict[str, list[float]] = field(default_factory=dict[str, list[float]])
    errors: dict[str, str] = field(default_factory=dict[str, str])

    def median(self, label: str) -> float:
        """Seconds of a typical round."""
        return statistics.median(self.seconds[label])

    def best(self, labels: Sequence[str]) -> str | None:
        """The fastest of these that ran."""
        return min((label for label in labels if label in self.seconds), key=self.median, default=None)


def take_turns(workers: Workers, calls: dict[str, int], rounds: int, times: Times) -> None:
    """Run so many rounds of bursts, the tools in turn."""
    for _ in range(rounds):
        for label, count in calls.items():
            if label in times.errors:
                continue
            try:
                seconds = workers.running[label].ask(burst=count)["seconds"]
                times.seconds.setdefault(label, []).append(seconds)
            except PeerError as error:
                times.errors[label] = str(error)
                times.seconds.pop(label, None)


@dataclass(frozen=True)
class Spread:
    """A median with the extremes around it."""

    median: float
    low: float
    high: float


def ratio(over: Sequence[float], under: Sequence[float]) -> Spread:
    """The rounds' quotients."""
    quotients = [a / b for a, b in zip(over, under, strict=True)]
    return Spread(statistics.median(quotients), min(quotients), max(quotients))
