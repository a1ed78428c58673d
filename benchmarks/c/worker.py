"""One process that runs one tool on one core: `python -m benchmarks.c.worker PEER CORE`, driven by lines of JSON.

`{"load": MODEL, "input": X.npy, "output": Y.npy}` answers `{"calls": N}`: how many calls take about a burst;
`{"burst": N}` answers `{"seconds": S}`: the CPU time of the process per call. Anything that goes wrong answers
`{"error": TEXT}`.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.c.peers import LOADERS, Loaded


def calls_of(loaded: Loaded, seconds: float) -> int:
    """How many calls take about so many seconds; also warms everything up."""
    count = 1
    while True:
        start = time.process_time()
        loaded.burst(count)
        spent = time.process_time() - start
        if spent >= seconds / 4:
            return max(1, round(count * seconds / spent))
        count = max(2 * count, min(count * 50, int(count * seconds / 3 / max(spent, 1e-9))))


def serve(peer: str) -> None:
    """Answer until the input ends."""
    loaded: Loaded | None = None
    for line in sys.stdin:
        asked = json.loads(line)
        try:
            answer: dict[str, Any]
            if "load" in asked:
                loaded = None
                gc.collect()
                loaded = LOADERS[peer](Path(asked["load"]), np.load(asked["input"]))
                loaded.burst(1)
                np.save(asked["output"], loaded.result())
                answer = {"calls": calls_of(loaded, asked["seconds"])}
            else:
                assert loaded is not None
                start = time.process_time()
                loaded.burst(asked["burst"])
                answer = {"seconds": (time.process_time() - start) / asked["burst"]}
        except Exception as error:
            # the tools raise whatever they like; the driver names it in the row
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), file=ANSWERS, flush=True)


if __name__ == "__main__":
    os.sched_setaffinity(0, {int(sys.argv[2])})
    # tools print to stdout as well: answers go to a copy of it, and what they print to stderr
    ANSWERS = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    with contextlib.redirect_stdout(sys.stderr):
        serve(sys.argv[1])
