"""The C target computes what the reference does: bit for bit on integers, within a tolerance on floats.

Each example holds several networks, compiled by one call of the compiler with warnings as errors.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from xdsl.dialects.builtin import ModuleOp

from hapir.context import HapirContext
from hapir.dialects.nn import NetworkOp
from hapir.lowering.compress.fuse import FusePass
from hapir.lowering.cut_integer_body import cut
from hapir.lowering.network_edits import networks_of
from hapir.reference.interpret import run_network
from hapir.targets.c.build import FAST_FLAGS, build_c_together
from hapir.targets.c.emit import emit_c
from hapir.weights import Array, WeightStore
from tests.property.integer_networks import IntegerSample, integer_networks
from tests.property.pipelines import fused
from tests.property.strategies import INTEGER_BODY, Sample, networks

WARNINGS = ("-Wall", "-Wextra", "-Werror", "-pedantic")
QUICK = ("-std=c11", "-O1", *WARNINGS)
FAST = (*FAST_FLAGS, *WARNINGS)

FLOAT_TOLERANCE = 1e-4
"""Of the largest result: f32 sums in another order."""

BATCH = 3

Job = tuple[NetworkOp, WeightStore, dict[str, Array]]

AnySample = TypeVar("AnySample", Sample, IntegerSample, Job)


def check(jobs: Sequence[Job], flags: Sequence[str]) -> None:
    """Every network's C gives what the reference gives."""
    artefacts = [emit_c(network, weights, f"net{i}") for i, (network, weights, _) in enumerate(jobs)]
    modules = build_c_together(artefacts, flags=flags, cache=False)
    for (network, weights, inputs), module in zip(jobs, modules, strict=True):
        expected, found = run_network(network, weights, inputs), module.run(inputs)
        assert list(expected) == list(found)
        for name, array in expected.items():
            assert (array.dtype, array.shape) == (found[name].dtype, found[name].shape)
            if array.dtype.kind == "f":
                limit = FLOAT_TOLERANCE * max(float(np.abs(array).max(initial=0)), 1e-3)
                assert np.abs(found[name].astype(np.float64) - array).max(initial=0) <= limit
            else:
                np.testing.assert_array_equal(found[name], array)


def grouped(network: NetworkOp, weights: WeightStore) -> NetworkOp:
    """The network after `fuse`."""
    module = ModuleOp([network.clone()])
    FusePass().apply(HapirContext(weights=weights), module)
    module.verify()
    return networks_of(module)[0]


def integer_jobs(samples: Sequence[IntegerSample]) -> list[Job]:
    """Each network unfused and fused."""
    return [
        (network, sample.weights, sample.inputs(BATCH))
        for sample in samples
        for network in (sample.network, grouped(sample.network, sample.weights))
    ]


def float_jobs(samples: Sequence[Sample]) -> list[Job]:
    """Each network unfused and fused."""
    return [
        (network, sample.weights, dict(sample.inputs(BATCH)))
        for sample in samples
        for network in (sample.network, grouped(sample.network, sample.weights))
    ]


def quantized_jobs(samples: Sequence[Sample]) -> list[Job]:
    """The integer bodies of networks that went through the passes, on what their prologues give."""
    jobs: list[Job] = []
    for sample in samples:
        inputs = dict(sample.inputs(BATCH))
        compiled = fused(sample, inputs)
        parts, weights = cut(compiled.network), compiled.ctx.weights
        values = dict(inputs)
        if parts.prologue is not None:
            needed = {name.data: values[name.data] for name in parts.prologue.input_names}
            values |= run_network(parts.prologue, weights, needed)
        jobs.append((parts.body, weights, {name.data: values[name.data] for name in parts.body.input_names}))
    return jobs


def several(strategy: st.SearchStrategy[AnySample], count: int) -> st.SearchStrategy[list[AnySample]]:
    """So many of one strategy: one compiler call per example."""
    return st.lists(strategy, min_size=count, max_size=count)


NO_SHRINKING = [Phase.explicit, Phase.reuse, Phase.generate]
"""A smaller example costs a compilation per try."""

QUIET = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
DEFAULT = settings(max_examples=5, deadline=None, derandomize=True, suppress_health_check=QUIET, phases=NO_SHRINKING)
SWEEP = settings(max_examples=50, deadline=None, suppress_health_check=QUIET, phases=NO_SHRINKING)


@DEFAULT
@given(several(integer_networks(), 5))
def test_integers(samples: list[IntegerSample]):
    check(integer_jobs(samples), QUICK)


@DEFAULT
@given(several(integer_networks(max_layers=3, batch=2), 5))
def test_integers_vectorized_with_a_declared_batch(samples: list[IntegerSample]):
    jobs = [(n, w, s.inputs(BATCH)) for s in samples for n, w in [(grouped(s.network, s.weights), s.weights)]]
    check(jobs, FAST)


@DEFAULT
@given(several(networks(), 3))
def test_floats(samples: list[Sample]):
    check(float_jobs(samples), FAST)


@DEFAULT
@given(several(networks(allow=INTEGER_BODY), 3))
def test_quantized(samples: list[Sample]):
    check(quantized_jobs(samples), FAST)


@pytest.mark.slow
@SWEEP
@given(several(integer_networks(max_layers=8), 5))
def test_integers_sweep(samples: list[IntegerSample]):
    check(integer_jobs(samples), FAST)


@pytest.mark.slow
@SWEEP
@given(several(networks(max_layers=8, max_channels=20), 4))
def test_floats_sweep(samples: list[Sample]):
    check(float_jobs(samples), FAST)


@pytest.mark.slow
@SWEEP
@given(several(networks(max_layers=8, max_channels=20, allow=INTEGER_BODY), 4))
def test_quantized_sweep(samples: list[Sample]):
    check(quantized_jobs(samples), FAST)
