"""Time per layer of a network in C: its source compiled twice, once with hooks around the layers, and a driver.

Both run in turn on the same inputs, so the sum of the layers can be held against the whole. Times are medians of many
rounds, of the thread's CPU time where a run is long enough for that slow clock, else of the monotonic clock.
"""

from __future__ import annotations

import ctypes
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from hapir.targets.c.build import FAST_FLAGS, build_c
from hapir.targets.c.emit import CArtefact
from hapir.weights import Array

Int64 = npt.NDArray[np.int64]

FEWEST, MOST = 15, 1001
"""Rounds of a profile."""
SECONDS = 0.5
"""What a profile takes, about."""
LONG_RUN = 1e-3
"""Seconds of a run from which on CPU time is measured: that clock costs a call of the system."""


@dataclass(frozen=True)
class Times:
    """Median seconds of each step and of a run without hooks."""

    steps: tuple[float, ...]
    whole: float


_TIMED = """\
/* $name with a hook around each layer. */
#define HAPIR_LAYER_TIME
#define HAPIR__ONE_PATH
#define $name_run $name_run_timed
#include "$name.c"
"""
_DRIVER = """\
#define _POSIX_C_SOURCE 199309L
#define HAPIR_LAYER_TIME
#include "$name.h"

#include <stddef.h>
#include <time.h>

int $name_run_timed(struct $name_ctx *ctx, const struct $name_in *in, struct $name_out *out);
int $name_profile(struct $name_ctx *ctx, const struct $name_in *in, struct $name_out *out, int cpu, int rounds,
        int64_t *steps, int64_t *whole);

static clockid_t clock_used;
static int64_t begun, *row;

static int64_t now(void)
{
    struct timespec t;
    clock_gettime(clock_used, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

void $name_layer_time(int layer, int end)
{
    if (end) {
        row[layer] = now() - begun;
    } else {
        begun = now();
    }
}

/* Fills `rounds` rows of steps, and of whole runs, in nanoseconds. The last element of a row is an empty step. */
int $name_profile(struct $name_ctx *ctx, const struct $name_in *in, struct $name_out *out, int cpu, int rounds,
        int64_t *steps, int64_t *whole)
{
    clock_used = cpu ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC;
    $load
    for (int i = -1; i < rounds; ++i) { /* the first round warms up and is written over */
        const int to = i < 0 ? 0 : i;
        const int64_t start = now();
        const int status = $name_run(ctx, in, out);
        whole[to] = now() - start;
        row = steps + to * ($UPPER_LAYERS + 1);
        const int second = $name_run_timed(ctx, in, out);
        if (status != 0 || second != 0) {
            return status + second;
        }
        $name_layer_time($UPPER_LAYERS, 0);
        $name_layer_time($UPPER_LAYERS, 1);
    }
    return 0;
}
"""
_LOAD = """\
if ($name_load(ctx, $name_file, sizeof($name_file)) != 0) {
        return 1;
    }"""


def with_hooks(artefact: CArtefact) -> CArtefact:
    """The network with the files of a profile."""
    name = artefact.name

    def named(text: str) -> str:
        text = text.replace("$load", _LOAD if artefact.file_bytes else "")
        return text.replace("$name", name).replace("$UPPER", name.upper())

    files = {f"{name}_timed.c": named(_TIMED), f"{name}_profile.c": named(_DRIVER)}
    return replace(artefact, files=artefact.files | files, units={**artefact.units, **dict.fromkeys(files, ())})


def measure(
    artefact: CArtefact, inputs: Mapping[str, Array], *, flags: Sequence[str] = FAST_FLAGS, cache: bool = True
) -> Times:
    """The times of a network on the first images of `inputs`. Raises HapirError as `build_c` does."""
    module = build_c(with_hooks(artefact), flags=flags, cache=cache)
    first = {p.name: np.asarray(inputs[p.name])[: p.shape[0]] for p in artefact.inputs}
    call = module.call(first)
    function = module.library[f"{artefact.name}_profile"]
    pointer = ctypes.c_void_p
    function.argtypes = [pointer, pointer, pointer, ctypes.c_int, ctypes.c_int, pointer, pointer]

    def run(cpu: bool, rounds: int) -> tuple[Int64, Int64]:
        steps = np.zeros((rounds, len(artefact.layers) + 1), np.int64)
        whole = np.zeros(rounds, np.int64)
        # the structs of inputs and results are such pointers one after the other
        ports = ctypes.addressof(call.inputs), ctypes.addressof(call.results)
        status = function(call.context, *ports, int(cpu), rounds, steps.ctypes.data, whole.ctypes.data)
        assert status == 0, f"{artefact.name}_profile returned {status}"
        return steps, whole

    once = float(np.median(run(False, 3)[1])) * 1e-9
    rounds = int(np.clip(SECONDS / max(2 * once, 1e-9), FEWEST, MOST))
    steps, whole = run(once > LONG_RUN, rounds)
    empty = float(np.median(steps[:, -1]))
    medians = np.maximum(np.median(steps[:, :-1], axis=0) - empty, 0.0)
    return Times(tuple(float(t) * 1e-9 for t in medians), max(float(np.median(whole)) - empty, 0.0) * 1e-9)
