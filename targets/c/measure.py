"""How long layers take here: several networks in one object, run in turn, each step between two readings of the clock.

A step's time is the median over bursts of the shortest run of each burst: what other programs take away counts in
neither, and a change of the clock's speed meets all networks alike.
"""

from __future__ import annotations

import ctypes
import statistics
from collections.abc import Mapping, Sequence

import numpy as np

from hapir.lowering.kernel.buffers import ALIGNMENT
from hapir.lowering.kernel.c_types import DTYPES
from hapir.targets.c.build import FAST_FLAGS, CModule, build_c_together
from hapir.targets.c.emit import CArtefact
from hapir.targets.c.text import c
from hapir.weights import Array

BURSTS = 7
BURST_NS = 1_500_000
"""Of a network in one burst, and at least one run."""
MOST_RUNS = 2000


def timer(artefact: CArtefact) -> str:
    """C that runs a network some times and keeps the shortest time of each of its steps."""
    return (
        c(
            """
        #include "$name.h"

        #include <stdint.h>
        #include <time.h>

        static int64_t began, shortest[$steps];

        static int64_t now(void)
        {
            struct timespec time;
            clock_gettime(CLOCK_MONOTONIC, &time);
            return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
        }

        void $name_layer_time(int layer, int end)
        {
            if (end == 0) {
                began = now();
                return;
            }
            const int64_t taken = now() - began;
            if (taken < shortest[layer]) {
                shortest[layer] = taken;
            }
        }

        int64_t $name_measure(
            struct $name_ctx *ctx, struct $name_in *in, struct $name_out *out, int64_t runs, int64_t *times);

        int64_t $name_measure(
            struct $name_ctx *ctx, struct $name_in *in, struct $name_out *out, int64_t runs, int64_t *times)
        {
            for (int i = 0; i < $steps; ++i) {
                shortest[i] = INT64_MAX;
            }
            const int64_t first = now();
            for (int64_t i = 0; i < runs; ++i) {
                (void)$name_run(ctx, in, out);
            }
            const int64_t all = now() - first;
            for (int i = 0; i < $steps; ++i) {
                times[i] = shortest[i];
            }
            return all;
        }
        """.replace("$name", artefact.name),
            steps=max(1, len(artefact.layers)),
        )
        + "\n"
    )


class _Runner:
    """One network with its memory."""

    def __init__(self, module: CModule, inputs: Mapping[str, Array]):
        artefact = module.artefact
        self._measure = module.library[f"{artefact.name}_measure"]
        self._measure.restype = ctypes.c_int64
        self._measure.argtypes = [ctypes.c_void_p] * 3 + [ctypes.c_int64, ctypes.c_void_p]
        self._arrays = [np.ascontiguousarray(inputs[p.name], DTYPES[p.ctype]) for p in artefact.inputs]
        self._results = [np.empty(p.shape, DTYPES[p.ctype]) for p in artefact.results]
        self._memory = np.zeros(artefact.context_bytes + ALIGNMENT, np.uint8)
        self._context = -(-self._memory.ctypes.data // ALIGNMENT) * ALIGNMENT
        self._times = np.zeros(max(1, len(artefact.layers)), np.int64)
        all_ns = self.burst(1)[0]
        self.runs = max(1, min(MOST_RUNS, int(BURST_NS / max(self.burst(1)[0], 1)))) if all_ns < BURST_NS else 1

    def burst(self, runs: int) -> tuple[int, list[int]]:
        """All of some runs, and the shortest time of each step, in nanoseconds."""
        pointers = [
            (ctypes.c_void_p * max(1, len(arrays)))(*(a.ctypes.data for a in arrays))
            for arrays in (self._arrays, self._results)
        ]
        taken = self._measure(self._context, *pointers, runs, self._times.ctypes.data)
        return taken, [int(t) for t in self._times]


def step_times(
    artefacts: Sequence[CArtefact], inputs: Mapping[str, Array], *, flags: Sequence[str] = FAST_FLAGS
) -> list[list[float]]:
    """Nanoseconds of each step of each network, all of which take the same inputs; one compiler call, bursts in turn.

    Raises HapirError as `build_c` does.
    """
    timed = (*flags, "-D_POSIX_C_SOURCE=200809L", "-DHAPIR_LAYER_TIME")
    more = {f"{artefact.name}_timer.c": timer(artefact) for artefact in artefacts}
    modules = build_c_together(artefacts, flags=timed, cache=False, more=more)
    runners = [_Runner(module, inputs) for module in modules]
    bursts = [[runner.burst(runner.runs)[1] for runner in runners] for _ in range(BURSTS)]
    return [
        [statistics.median(float(burst[i][step]) for burst in bursts) for step in range(len(artefact.layers))]
        for i, artefact in enumerate(artefacts)
    ]
