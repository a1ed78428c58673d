"""Strips of weights that are unpacked before their pixels: the reference's bits, and a buffer in the arena."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hapir.dialects.nn_shapes import Window
from hapir.dialects.num import BipolarType, TernaryType, signed, unsigned
from hapir.lowering.kernel.buffers import SLACK
from hapir.lowering.kernel.contraction_bits import Lookup
from hapir.lowering.kernel.geometry import LANES
from hapir.lowering.kernel.plan_codes import CODES
from hapir.lowering.kernel.plan_program import plan_program
from hapir.lowering.kernel.program_draft import live_blocks
from hapir.lowering.kernel.shared_loops import shared_loop
from hapir.lowering.kernel.steps import Convolution, scratch
from hapir.lowering.kernel.unpack_strips import STRIP_BYTES
from hapir.reference.interpret import run_network
from hapir.targets.c.emit import emit_c
from tests.c_machines import EACH_TIME, Machine, run_on, skip_unless_here
from tests.property.bit_layers import Pair, layer
from tests.property.sparse_layers import Shape, SparseLayer, together
from tests.property.test_c_threads import check, has_openmp

PAIRS: tuple[Pair, ...] = (
    (unsigned(8), BipolarType(1)),
    (signed(8), BipolarType(2)),
    (unsigned(8), signed(2)),
    (unsigned(4), TernaryType()),
    (unsigned(8), signed(3)),
    (signed(8), unsigned(3)),
    (unsigned(8), signed(4)),
    (unsigned(8), unsigned(4)),
)
"""Codes of 1 to 4 bits, those with a gap among their levels and those without."""

SHAPES = (
    Shape(200, 72, (1, 1), 268, None),  # the last strip has a vector of filters less, and the last a tail
    Shape(1, 36, (9, 25), 260, Window((1, 1))),
    Shape(2, 8 * 20, (9, 13), 8 * 5, Window((3, 3), (1, 1), (1, 1, 1, 1)), 8),
    Shape(1, 20, (13, 12), 264, Window((3, 2), (1, 2), (0, 1, 1, 0), (1, 2))),
    Shape(1, 24, (1, 200), 257, Window((1, 5), (1, 1), (0, 2, 0, 2)), line=True),
)
"""A dense layer, a pointwise one, groups, runs of pixels, and runs of whole rows; runs that end in every word."""


def samples() -> list[SparseLayer]:
    """Every shape on pairs of formats: of two shapes one after the other, each has every other pair."""
    rng = np.random.default_rng(17)
    return [layer(rng, CODES, pair, shape) for i, shape in enumerate(SHAPES) for pair in PAIRS[i % 2 :: 2]]


def step_of(sample: SparseLayer) -> Convolution:
    """The layer as the C target plans it."""
    return next(s for s in plan_program(sample.network, sample.weights).steps if isinstance(s, Convolution))


def test_every_kind_is_there():
    steps = [step for step in map(step_of, samples()) if step.unpacked is not None]
    codes = [step.contraction for step in steps if isinstance(step.contraction, Lookup)]
    assert len(codes) == len(steps)
    assert {c.bits for c in codes} == {1, 2, 3, 4}
    for kind in (
        [c.last for c in codes if c.bits == 3],
        [step.geometry.groups for step in steps],
        [step.geometry.rows for step in steps],
        [step.runs.rows * step.runs.columns for step in steps],
        [step.tiles.superblock for step in steps],
    ):
        assert len(set(kind)) > 1, kind


@pytest.mark.parametrize("machine", EACH_TIME, ids=str)
def test_strips_give_the_reference(machine: Machine):
    skip_unless_here(machine)
    layers = samples()
    joined = together(layers)
    (found,) = run_on(machine, [(emit_c(joined.network, joined.weights), joined.inputs)])
    for i, sample in enumerate(layers):
        expected = run_network(sample.network, sample.weights, sample.inputs)["y"]
        np.testing.assert_array_equal(found[f"y{i}"], expected, err_msg=sample.words)


@pytest.mark.skipif(not has_openmp(), reason="there is no gcc with OpenMP")
def test_threads_share_the_pixels_of_a_strip(tmp_path: Path):
    layers = [sample for sample in samples()[:: len(PAIRS) // 2 + 1] if step_of(sample).unpacked is not None]
    assert {shared_loop(step_of(sample)).loop for sample in layers} == {"rows", "columns"}
    jobs = [(emit_c(sample.network, sample.weights, f"net{i}"), sample.inputs) for i, sample in enumerate(layers)]
    for sample, found in zip(layers, check(jobs, tmp_path), strict=True):
        expected = run_network(sample.network, sample.weights, sample.inputs)["y"]
        np.testing.assert_array_equal(found["y"], expected, err_msg=sample.words)


def test_the_buffer_of_a_strip_is_part_of_the_arena():
    sample = layer(np.random.default_rng(0), CODES, (unsigned(8), signed(3)), SHAPES[0])
    program = plan_program(sample.network, sample.weights)
    step = step_of(sample)
    assert step.unpacked is not None
    buffer = program.buffers[step.unpacked.buffer]
    assert scratch(step) == (step.unpacked.buffer,)
    assert buffer.size_bytes == step.tiles.superblock * LANES * 72 <= STRIP_BYTES
    assert buffer.size_bytes + SLACK in {block.size_bytes for block in live_blocks(program)}


def test_few_pixels_few_filters_or_long_filters_are_looked_up():
    dense, pair = SHAPES[0], (unsigned(8), signed(3))
    for other in (
        replace(dense, batch=1),
        replace(dense, filters=64),
        replace(dense, channels=1 << 17),
    ):
        sample = layer(np.random.default_rng(0), CODES, pair, other)
        assert step_of(sample).unpacked is None, sample.words
    assert step_of(layer(np.random.default_rng(0), CODES, pair, dense)).unpacked is not None
