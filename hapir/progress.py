"""Progress of long work: one line on a terminal's stderr, nothing in a pipe."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, field
from types import TracebackType


@dataclass
class Progress:
    """Counts steps and shows how many are done and about how long the rest takes."""

    total: int
    what: str
    enabled: bool = True
    _done: int = field(default=0, init=False)
    _started: float = field(default_factory=time.monotonic, init=False)

    def step(self) -> None:
        """One more is done."""
        self._done += 1
        if self.enabled and sys.stderr.isatty():
            left = (time.monotonic() - self._started) / self._done * max(0, self.total - self._done)
            print(
                f"\r\x1b[K{self._done}/{self.total} {self.what}, {left:.0f} s left", end="", file=sys.stderr, flush=True
            )

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.enabled and self._done and sys.stderr.isatty():
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
