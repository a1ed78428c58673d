"""Products at the extremes of their types, on the machines that random networks do not run on each time.

Each vector path multiplies in several ways, by what the compiler may use: here are those without VNNI on AVX-512, with
it on AVX2, SSE2 alone, and AArch64 with products of bytes. One network holds a layer of every kind of product.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from xdsl.dialects.builtin import IntegerAttr, i64

from hapir.dialects import nn
from hapir.dialects.kernel import ChoiceAttr
from hapir.dialects.nn_shapes import Window
from hapir.dialects.num import BipolarType, TernaryType, signed, unsigned
from hapir.lowering.kernel.contraction import Contraction
from hapir.lowering.kernel.contraction_bits import Bits, Lookup
from hapir.lowering.kernel.plan_program import plan_program
from hapir.lowering.kernel.program_sparse import ReduceAndScale, SparseConvolution
from hapir.lowering.kernel.program_winograd import Winograd
from hapir.lowering.kernel.steps import Convolution
from hapir.reference.interpret import run_network
from hapir.targets.c.emit import CArtefact, emit_c
from hapir.weights import Array
from tests.c_machines import CLANG, FOREIGN, GCC, Machine, run_on, skip_unless_here
from tests.property import bit_layers, sparse_layers
from tests.property.sparse_layers import Kind, Shape, SparseLayer, together

POINTS = Shape(1, 70, (1, 7), 20, Window((1, 1)))
MAP = Shape(1, 20, (6, 9), 18, Window((3, 3), padding=(1, 1, 1, 1)))
RARE = (GCC[2], GCC[3], GCC[4], CLANG[3], FOREIGN[2])


def extreme(kind: Kind, algorithm: str, shape: Shape, levels: tuple[int, ...], tile: int = 0) -> SparseLayer:
    """A layer whose inputs are the ends of their type and whose weights are few, the ends of bytes among them."""
    rng = np.random.default_rng(len(levels))
    kernel = () if shape.window is None else shape.window.kernel
    weights = rng.choice(np.array(levels), (shape.filters, shape.channels, *kernel)).astype(np.int8)
    sizes = () if shape.window is None else shape.size
    storage = np.iinfo({"ui8": np.uint8, "si8": np.int8, "si16": np.int16}[kind])  # pyright: ignore[reportArgumentType]  # no f32 here
    inputs = rng.choice(np.array([storage.min, storage.max, 1]), (shape.batch, shape.channels, *sizes))
    layer = sparse_layers.layer(rng, kind, algorithm, shape, 1.0, weights=weights, inputs=inputs.astype(storage.dtype))
    for op in layer.network.body.walk():
        if isinstance(op, nn.ConvolutionOp) and tile:
            op.attributes["kernel"] = ChoiceAttr.of(algorithm, "", {"tile": IntegerAttr(tile, i64)})
    return layer


BYTES = (-128, -127, -1, 0, 1, 2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 126, 127)
"""More levels than codes have."""


def layers() -> list[SparseLayer]:
    """A layer of every kind of product."""
    rng = np.random.default_rng(9)
    return [
        extreme("ui8", "direct", POINTS, BYTES),
        extreme("si8", "direct", POINTS, BYTES),
        extreme("si16", "direct", POINTS, BYTES),
        extreme("ui8", "direct", POINTS, (-128, 0, 127)),
        extreme("ui8", "sparse", MAP, (0, 0, 0, 0, 0, 0, -128, 127)),
        extreme("si16", "sparse", MAP, (0, 0, 0, 0, 0, 0, -128, 127)),
        extreme("si8", "ras", POINTS, (0, 0, -127, 127)),
        extreme("ui8", "winograd", MAP, BYTES, 2),
        extreme("si8", "winograd", MAP, BYTES, 4),
        *(
            bit_layers.layer(rng, "bits", pair, POINTS)
            for pair in (
                (BipolarType(1), BipolarType(1)),
                (TernaryType(), TernaryType()),
                (unsigned(2), signed(2)),
            )
        ),
        # a run that ends within a word, and weights without a 0 to fill it up
        bit_layers.layer(rng, "codes", (unsigned(8), BipolarType(2)), replace(POINTS, channels=71)),
    ]


def test_every_kind_is_there():
    steps = [step for sample in layers() for step in plan_program(sample.network, sample.weights).steps]
    products = [step.contraction for step in steps if isinstance(step, Convolution)]
    assert {c.name for c in products} >= {"u8_i8", "i16"}
    assert {type(c) for c in products} == {Contraction, Lookup, Bits}
    assert {Convolution, SparseConvolution, ReduceAndScale, Winograd} <= {type(step) for step in steps}


@cache
def compiled() -> tuple[CArtefact, dict[str, Array], dict[str, Array]]:
    """All layers in one network as C, its inputs, and the reference's results."""
    everything = together(layers())
    expected = run_network(everything.network, everything.weights, everything.inputs)
    return emit_c(everything.network, everything.weights), everything.inputs, dict(expected)


@pytest.mark.parametrize("machine", RARE, ids=str)
def test_extremes(machine: Machine):
    skip_unless_here(machine)
    artefact, inputs, expected = compiled()
    (found,) = run_on(machine, [(artefact, inputs)])
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array, err_msg=name)


def test_no_kernel_leaves_its_memory():
    machine = Machine(
        "sanitized", "gcc", ("-march=native", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
    )
    skip_unless_here(machine)
    artefact, inputs, _ = compiled()
    run_on(machine, [(artefact, inputs)])
