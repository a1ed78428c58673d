"""Layers of few bits compute what the reference does, bit for bit, on every path."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from xdsl.dialects.builtin import FloatData, TensorType
from xdsl.ir import Attribute

from hapir.diagnostics import HapirError
from hapir.dialects import nn
from hapir.dialects.kernel import ChoiceAttr
from hapir.dialects.nn_shapes import Window
from hapir.dialects.num import AffineType, BipolarType, signed, unsigned
from hapir.lowering.kernel.contraction_bits import BYTE_STEPS, HALF_STEPS, Bits, Lookup
from hapir.lowering.kernel.pack_weights import INT32_MAX
from hapir.lowering.kernel.plan_codes import BITS, BYTES, CODES
from hapir.lowering.kernel.plan_program import plan_program
from hapir.lowering.kernel.steps import Convolution
from hapir.reference.interpret import run_network
from hapir.targets.c.emit import emit_c
from hapir.weights import WeightStore
from tests.c_machines import EACH_TIME, GCC, Machine, run_on, skip_unless_here
from tests.property.bit_layers import FAMILIES, layer, random_layer
from tests.property.sparse_layers import Shape, SparseLayer, together


def samples(family: str, count: int, seed: int) -> list[SparseLayer]:
    """So many random layers of a family."""
    rng = np.random.default_rng(seed)
    return [random_layer(rng, family) for _ in range(count)]


def check(layers: Sequence[SparseLayer], machine: Machine) -> None:
    """Every layer's C gives what the reference gives."""
    joined = together(layers)
    (found,) = run_on(machine, [(emit_c(joined.network, joined.weights), joined.inputs)])
    for i, sample in enumerate(layers):
        expected = run_network(sample.network, sample.weights, sample.inputs)["y"]
        np.testing.assert_array_equal(found[f"y{i}"], expected, err_msg=sample.words)


@pytest.mark.parametrize("machine", EACH_TIME, ids=str)
def test_random_layers(machine: Machine):
    skip_unless_here(machine)
    check([sample for family in FAMILIES for sample in samples(family, 4, 7)], machine)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("family", FAMILIES)
def test_random_layers_sweep(family: str, seed: int):
    for machine in GCC:
        skip_unless_here(machine)
        check(samples(family, 16, 1000 + seed), machine)


@pytest.mark.parametrize("family", FAMILIES)
def test_layers_have_the_arithmetic_that_they_ask_for(family: str):
    wanted = Lookup if family == "codes" else Bits
    for sample in samples(family, 20, 3):
        step = next(s for s in plan_program(sample.network, sample.weights).steps if isinstance(s, Convolution))
        assert isinstance(step.contraction, wanted), sample.words


def extreme(words: int, x: int, w: int) -> SparseLayer:
    """A dense layer of +-1 whose counts are as large as they get: all inputs are `x`, all weights `w`."""
    shape = Shape(2, 32 * words, (1, 1), 5, None)
    sample = layer(np.random.default_rng(0), BITS, (BipolarType(1), BipolarType(1)), shape)
    weights = WeightStore({key: sample.weights[key] for key in sample.weights})
    weights.put("w", np.full((5, 32 * words), w, np.int8))
    given = np.full((2, 32 * words), x, np.int8)
    return replace(sample, weights=weights, inputs={"image": given}, words=f"{words} words of {x} and {w}")


@pytest.mark.parametrize("machine", EACH_TIME, ids=str)
def test_narrow_counts_at_their_bounds(machine: Machine):
    skip_unless_here(machine)
    sizes = [BYTE_STEPS - 1, BYTE_STEPS, BYTE_STEPS + 1, 2 * BYTE_STEPS + 1]
    sizes += [HALF_STEPS, HALF_STEPS + 1] if machine.emulator else []
    check([extreme(words, x, -x) for words in sizes for x in (-1, 1)], machine)


def test_padding_of_windows_of_every_kind():
    """What padding means is added where a tap lies in it, whatever stride and dilation put it there."""
    rng, windows = (
        np.random.default_rng(4),
        [
            Window((3, 3), (1, 1), (2, 3, 2, 3), (2, 3)),
            Window((2, 3), (2, 1), (1, 0, 3, 2), (3, 1)),
            Window((3, 2), (1, 3), (0, 4, 1, 0), (1, 4)),
        ],
    )
    pairs: list[tuple[Attribute, Attribute]] = [(BipolarType(1), BipolarType(1)), (unsigned(2), signed(2))]
    layers = [
        layer(rng, BITS, pair, Shape(1, 2 * 33, (7, 9), 2 * 5, window, groups))
        for window in windows
        for pair in pairs
        for groups in (1, 2)
    ]
    steps = [step for s in layers for step in plan_program(s.network, s.weights).steps if isinstance(step, Convolution)]
    assert sum(step.borders is not None for step in steps) > 6
    check(layers, GCC[0])


@pytest.mark.parametrize("sign", [1, -1])
def test_counts_are_refused_from_the_first_sum_that_may_not_fit(sign: int):
    elements = 96
    # counts weigh two, and where they start from is the bias and as many
    bias = sign * (INT32_MAX - 2 * elements) - elements
    plan_program(*biased(elements, bias, BITS))
    for arithmetic in (BITS, ""):
        with pytest.raises(HapirError, match="HAP0710"):
            plan_program(*biased(elements, bias + sign, arithmetic))


def biased(elements: int, bias: int, arithmetic: str) -> tuple[nn.NetworkOp, WeightStore]:
    """A dense layer on +-1, with a weight of -1 among those of +1 and such a bias."""
    weights = np.ones((64, elements), np.int8)
    weights[:, 0] = -1
    store = WeightStore({"w": weights, "b": np.full(64, bias, np.int32)})
    codes = AffineType(BipolarType(1), FloatData(1.0), 0)
    network = nn.NetworkOp("n", [("x", TensorType(codes, (1, elements)))], [("y", TensorType(signed(32), (1, 64)))])
    w = nn.WeightOp("w", TensorType(codes, (64, elements)))
    b = nn.WeightOp("b", TensorType(signed(32), (64,)))
    layer = nn.DenseOp(network.body.block.args[0], w.result, b.result, layer="f")
    layer.attributes["kernel"] = ChoiceAttr.of("direct", arithmetic)
    network.body.block.add_ops([w, b, layer, nn.ReturnOp([layer.result])])
    network.verify()
    return network, store


CODES_OF: dict[int, tuple[Attribute, Attribute]] = {
    1: (BipolarType(1), BipolarType(1)),
    **{bits: (unsigned(bits), signed(bits)) for bits in (2, 3, 4, 8)},
}
"""Activations and weights of so many bits."""


@pytest.mark.parametrize("w_bits", CODES_OF)
@pytest.mark.parametrize("x_bits", CODES_OF)
def test_weights_take_the_bits_that_they_have(x_bits: int, w_bits: int):
    pair = CODES_OF[x_bits][0], CODES_OF[w_bits][1]
    for shape in (Shape(1, 256, (1, 1), 64, None), Shape(1, 64, (8, 8), 32, Window((3, 3)))):
        sample = layer(np.random.default_rng(1), "", pair, shape)
        step = next(s for s in plan_program(sample.network, sample.weights).steps if isinstance(s, Convolution))
        assert step.weights.size_bytes * 8 == sample.weights["w"].size * w_bits


@pytest.mark.parametrize(
    ("arithmetic", "pair", "code"),
    [
        (BITS, (unsigned(8), signed(2)), "HAP0714"),
        (BITS, (unsigned(2), signed(8)), "HAP0714"),
        (CODES, (unsigned(8), signed(8)), "HAP0715"),
        (BYTES, (signed(16), signed(4)), "HAP0715"),
        ("bf16", (unsigned(8), signed(8)), "HAP0716"),
    ],
)
def test_requests_that_cannot_be_met(arithmetic: str, pair: tuple[Attribute, Attribute], code: str):
    sample = layer(np.random.default_rng(2), arithmetic, pair, Shape(4, 64, (1, 1), 64, None))
    with pytest.raises(HapirError) as caught:
        plan_program(sample.network, sample.weights)
    assert [found.code for found in caught.value.diagnostics] == [code]
