"""threshold: the same code for every accumulator, whether a requantization or floats stood in its place."""

from __future__ import annotations

from decimal import ROUND_FLOOR, ROUND_HALF_EVEN, ROUND_HALF_UP, Decimal, localcontext

import numpy as np
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st
from xdsl.dialects.builtin import FloatData, ModuleOp, StringAttr, TensorType, f32
from xdsl.ir import Attribute, Operation, SSAValue

from hapir.context import HapirContext
from hapir.dialects import nn, num
from hapir.dialects.num import AffineType, PerChannelType, Rounding, code_range, element_type, signed, unsigned
from hapir.lowering.compress.fuse import FusePass
from hapir.lowering.compress.quantize import QuantizePass
from hapir.lowering.compress.threshold import ThresholdPass
from hapir.lowering.compress.weights.bwn import BwnPass
from hapir.lowering.cut_integer_body import cut
from hapir.lowering.network_edits import networks_of
from hapir.reference.interpret import run_network
from hapir.weights import Array, WeightStore
from tests.property.binary_networks import BinarySample, binary_networks
from tests.property.integer_networks import IntegerSample, integer_networks
from tests.property.pipelines import CALIBRATION, compilation
from tests.property.test_c_reference import QUICK, Job, check

SLOW = [HealthCheck.too_slow]


def readers(value: SSAValue) -> list[Operation]:
    """All ops behind a value, however far."""
    direct = [use.operation for use in value.uses]
    return direct + [op for user in direct for result in user.results for op in readers(result)]


REQUANTIZATION = (num.RequantizeOp, num.RescaleOp)


def levels_of(op: num.RequantizeOp | num.RescaleOp) -> int:
    """How many steps lie between the codes of a requantization."""
    return op.high.value.data - op.low.value.data


@settings(max_examples=60, deadline=None, suppress_health_check=SLOW)
@given(integer_networks(max_layers=3), st.integers(1, 8))
def test_thresholds_give_the_codes_of_requantizations(sample: IntegerSample, max_bits: int):
    module, context = ModuleOp([sample.network.clone()]), HapirContext(weights=sample.weights.copy())
    ThresholdPass(max_bits).apply(context, module)
    module.verify()
    (network,) = networks_of(module)
    inputs = sample.inputs(8)
    expected = run_network(sample.network, sample.weights, inputs)["y"]
    np.testing.assert_array_equal(run_network(network, context.weights, inputs)["y"], expected)
    left = [levels_of(op) for op in network.body.block.ops if isinstance(op, REQUANTIZATION)]
    before = [levels_of(op) for op in sample.network.body.block.ops if isinstance(op, REQUANTIZATION)]
    assert left == [levels for levels in before if not 1 <= levels < 1 << max_bits]


@settings(max_examples=40, deadline=None, suppress_health_check=SLOW)
@given(
    st.lists(st.integers(1, 1 << 24), min_size=2, max_size=2),
    st.integers(4, 40),
    st.sampled_from(list(Rounding)),
    st.sampled_from([(unsigned(2), 0), (signed(3), -1), (unsigned(4), 5)]),
    st.booleans(),
)
def test_thresholds_give_the_codes_of_real_scales(
    mantissas: list[int], exponent: int, rounding: Rounding, target: tuple[Attribute, int], single: bool
):
    """Every accumulator of si16; f32 scales, ties among their products."""
    codes, zero_point = target
    shape, result = (1, 2), AffineType(codes, FloatData(1.0), zero_point)
    weights = WeightStore({"s": np.array([m * 2.0**-exponent for m in mantissas], np.float32)})
    raw = TensorType(AffineType(signed(16), FloatData(1.0), 0), shape)
    network = nn.NetworkOp("n", [("x", raw)], [("y", TensorType(result, shape))])
    s = nn.WeightOp("s", TensorType(f32, (2,)))
    wide = num.WidenOp(network.body.block.args[0], 1)
    low, high = code_range(result)
    type_ = TensorType(result, shape)
    op = num.RescaleOp(wide.result, s.result, type_, rounding=rounding, low=low, high=high, single=single)
    network.body.block.add_ops([s, wide, op, nn.ReturnOp([op.result])])
    inputs = {"x": np.repeat(np.arange(-(1 << 15), 1 << 15, dtype=np.int16)[:, np.newaxis], 2, axis=1)}
    expected = run_network(network, weights, inputs)["y"]
    module, context = ModuleOp([network]), HapirContext(weights=weights)
    ThresholdPass().apply(context, module)
    module.verify()
    (after,) = networks_of(module)
    assert not any(isinstance(op, num.RescaleOp) for op in after.body.block.ops)
    np.testing.assert_array_equal(run_network(after, context.weights, inputs)["y"], expected)


DIGITS = 100
"""Of decimal arithmetic: quotients of the numbers below that lie on a tie are exact."""
SMALL = st.sampled_from([0.0, 0.5, 1.0, -1.0, -0.75, 2.0, 3.0, -7.5, 0.1, 100.0, -1e-4])
REALS = st.one_of(SMALL, st.integers(-(1 << 20), 1 << 20).map(lambda n: n / (1 << 14)))
VARIANCES = st.one_of(st.sampled_from([0.25, 1.0, 2.0, 9.0, 0.3]), st.integers(1, 1 << 20).map(lambda n: n / (1 << 14)))
ROUND = {Rounding.half_even: ROUND_HALF_EVEN, Rounding.half_away: ROUND_HALF_UP, Rounding.floor: ROUND_FLOOR}
CHANNELS = 3


def rounded(value: Decimal, rounding: Rounding) -> int:
    """A real as an integer."""
    if rounding == Rounding.half_up:
        return int((value + Decimal("0.5")).to_integral_value(ROUND_FLOOR))
    return int(value.to_integral_value(ROUND[rounding]))


@settings(max_examples=80, deadline=None, suppress_health_check=SLOW)
@example(  # the end of the clip is a tie that goes down
    [(1.0, 0.0, 0.0, 1.0)] * CHANNELS,
    [0.0] * CHANNELS,
    [0.125] * CHANNELS,
    None,
    0.0,
    "clip",
    (signed(3), 0.5, 0),
    Rounding.half_away,
)
@given(
    st.lists(st.tuples(REALS, REALS, REALS, VARIANCES), min_size=CHANNELS, max_size=CHANNELS),
    st.lists(REALS, min_size=CHANNELS, max_size=CHANNELS),
    st.lists(st.sampled_from([0.125, 0.5, 1.0, 0.3]), min_size=CHANNELS, max_size=CHANNELS),
    st.sampled_from([None, None, 0, 5]),
    st.sampled_from([0.0, 0.25, 1e-5]),
    st.sampled_from(["sign", "relu", "clip", "nothing"]),
    st.sampled_from(
        [(unsigned(2), 0.5, 0), (unsigned(3), 1.0, 2), (signed(3), 0.3, -1), (signed(3), 0.5, 0), (unsigned(1), 2.0, 0)]
    ),
    st.sampled_from(list(Rounding)),
)
def test_thresholds_are_the_island_in_real_arithmetic(
    norms: list[tuple[float, float, float, float]],
    biases: list[float],
    scales: list[float],
    shared_point: int | None,
    epsilon: float,
    activation: str,
    target: tuple[Attribute, float, int],
    rounding: Rounding,
):
    """Every code of si8 in three channels: a bias as a batch norm of its own, a batch norm, an activation, codes.

    The codes have a scale per channel, or share one and a zero point.
    """
    codes, scale, zero_point = target
    assume(not (activation == "clip" and scale > 1))  # one code alone: diagnosed
    result = AffineType(codes, FloatData(scale), zero_point)
    if activation == "sign":
        result = AffineType(num.BipolarType(1), FloatData(1.0), 0)
        scale, zero_point = 1.0, 0
    weights = WeightStore({"s": np.array(scales)})
    shape = (1, CHANNELS)
    element: Attribute = PerChannelType(signed(8), 1, StringAttr("s"))
    if shared_point is not None:
        scales, element = [scales[0]] * CHANNELS, AffineType(signed(8), FloatData(scales[0]), shared_point)
    network = nn.NetworkOp(
        "n",
        [("x", TensorType(element, shape))],
        [("y", TensorType(result, shape))],
    )
    block = network.body.block

    def weight(key: str, array: Array) -> SSAValue:
        op = nn.WeightOp(weights.put_new(key, array.astype(np.float32)), TensorType(f32, array.shape))
        block.add_op(op)
        return op.result

    def norm(x: SSAValue, columns: Array, epsilon: float) -> SSAValue:
        op = nn.BatchNormOp(x, *(weight("p", column) for column in columns), epsilon=epsilon, layer="n1")
        block.add_op(op)
        return op.result

    dequantize = num.DequantizeOp(block.args[0])
    block.add_op(dequantize)
    one = np.ones(CHANNELS)
    value = norm(dequantize.result, np.stack([one, np.array(biases), 0 * one, one]), 0.0)
    value = norm(value, np.array(norms).T, epsilon)
    op = {
        "sign": lambda: nn.SignOp(value, layer="a1"),
        "relu": lambda: nn.ReluOp(value, layer="a1"),
        "clip": lambda: nn.ClipOp(value, low=-0.25, high=1.0, layer="a1"),
        "nothing": lambda: None,
    }[activation]()
    if op is not None:
        block.add_op(op)
    quantize = num.QuantizeOp(value if op is None else op.results[0], TensorType(result, shape), rounding)
    block.add_ops([quantize, nn.ReturnOp([quantize.result])])
    every = np.arange(-128, 128, dtype=np.int8)
    inputs = {"x": np.repeat(every[:, np.newaxis], CHANNELS, axis=1)}
    module, context = ModuleOp([network.clone()]), HapirContext(weights=weights)
    ThresholdPass(max_bits=3).apply(context, module)
    module.verify()
    (after,) = networks_of(module)
    kinds = {type(op) for op in after.body.block.ops}
    assert kinds == {nn.WeightOp, num.ThresholdOp, nn.ReturnOp}
    found = run_network(after, context.weights, inputs)["y"]

    low, high = code_range(result)
    expected, near = np.empty((256, CHANNELS), np.int64), np.zeros((256, CHANNELS), np.bool_)
    with localcontext() as exact:
        exact.prec = DIGITS
        for k, (gamma, beta, mean, variance) in enumerate(
            [tuple(Decimal(float(np.float32(p))) for p in parameters) for parameters in norms]
        ):
            deviation = (variance + Decimal(epsilon)).sqrt()
            for i, q in enumerate(every.tolist()):
                inner = Decimal(scales[k]) * (q - (shared_point or 0)) + Decimal(float(np.float32(biases[k]))) - mean
                y = gamma * inner / deviation + beta
                steps = y / Decimal(scale) + (Decimal("0.5") if rounding != Rounding.floor else 0)
                distance = abs(y) if activation == "sign" else abs(steps - steps.to_integral_value()) * Decimal(scale)
                near[i, k] = distance < Decimal("1e-5") * (1 + abs(y) + abs(beta))
                if activation == "sign":
                    y = Decimal(1 if y >= 0 else -1)
                elif activation == "relu":
                    y = max(y, Decimal(0))
                elif activation == "clip":
                    y = min(max(y, Decimal("-0.25")), Decimal(1))
                expected[i, k] = min(max(rounded(y / Decimal(scale), rounding) + zero_point, low), high)
    np.testing.assert_array_equal(found, expected)
    floats = run_network(network, weights, inputs)["y"]
    assert ((floats == expected) | near).all()


def test_only_signs_become_bipolar_codes():
    """Other reals may round to even numbers, which bipolar codes have not got: such an island stays."""
    result = TensorType(AffineType(num.BipolarType(1), FloatData(1.0), 0), (1, 2))
    network = nn.NetworkOp("n", [("x", TensorType(AffineType(signed(8), FloatData(0.5), 0), (1, 2)))], [("y", result)])
    dequantize = num.DequantizeOp(network.body.block.args[0])
    clip = nn.ClipOp(dequantize.result, low=-1.0, high=1.0, layer="a1")
    quantize = num.QuantizeOp(clip.result, result, Rounding.half_up)
    network.body.block.add_ops([dequantize, clip, quantize, nn.ReturnOp([quantize.result])])
    network.set_result_types()
    module = ModuleOp([network])
    ThresholdPass().apply(HapirContext(weights=WeightStore()), module)
    assert num.QuantizeOp in {type(op) for op in networks_of(module)[0].body.block.ops}


@settings(max_examples=60, deadline=None, suppress_health_check=SLOW)
@given(binary_networks())
def test_a_binarized_network_is_integers_and_gives_what_its_floats_give(drawn: BinarySample):
    inputs = {"image": drawn.images}
    compiled = compilation(drawn.sample, inputs).apply(BwnPass())
    expected = compiled.run(inputs)["y"]
    compiled.apply(QuantizePass(CALIBRATION), ThresholdPass())
    np.testing.assert_array_equal(compiled.run(inputs)["y"], expected)
    body = cut(compiled.network).body
    kinds = {type(op) for op in body.body.block.ops}
    assert num.ThresholdOp in kinds
    assert not kinds & {num.RequantizeOp, num.DequantizeOp, num.QuantizeOp, nn.BatchNormOp, nn.SignOp}
    for op in body.body.block.ops:
        if isinstance(op, nn.ProductOp):
            assert isinstance(element_type(op.w), PerChannelType | AffineType)
            assert set(np.unique(compiled.ctx.weights[op.w.owner.key.data])) <= {-1, 1}  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType, reportUnknownArgumentType, reportUnknownVariableType]  # weights are stored
    fused = compiled.apply(FusePass())
    np.testing.assert_array_equal(fused.run(inputs)["y"], expected)


@settings(max_examples=40, deadline=None, suppress_health_check=SLOW)
@given(binary_networks(nn.ReluOp), st.sampled_from(["u2", "u3", "i3"]))
def test_batch_norms_and_activations_of_few_bits(drawn: BinarySample, activations: str):
    """Binary weights, activations of k bits: batch norms stay real until thresholds take their place, exactly."""
    inputs = {"image": drawn.images}
    compiled = compilation(drawn.sample, inputs).apply(BwnPass())
    compiled.apply(QuantizePass(CALIBRATION, activations=activations))  # pyright: ignore[reportArgumentType]  # drawn
    expected = compiled.run(inputs)["y"]
    compiled.apply(ThresholdPass(max_bits=3))
    np.testing.assert_array_equal(compiled.run(inputs)["y"], expected)
    kinds = {type(op) for op in cut(compiled.network).body.body.block.ops}
    assert not kinds & {num.DequantizeOp, num.QuantizeOp, nn.BatchNormOp}


@settings(max_examples=40, deadline=None, suppress_health_check=SLOW)
@given(binary_networks())
def test_a_requantizer_tells_signs_exactly(drawn: BinarySample):
    inputs = {"image": drawn.images}
    compiled = compilation(drawn.sample, inputs).apply(BwnPass(), QuantizePass(CALIBRATION))
    expected = compiled.run(inputs)["y"]
    compiled.apply(ThresholdPass(signs="requantize"))
    np.testing.assert_array_equal(compiled.run(inputs)["y"], expected)
    for op in compiled.network.body.block.ops:
        if isinstance(op, num.ThresholdOp) and isinstance(op.acc.owner, nn.ProductOp):
            # only where a concat needs signs of one kind
            assert any(isinstance(reader, nn.ConcatOp) for reader in readers(op.result))


@settings(max_examples=1, deadline=None, suppress_health_check=[*SLOW, HealthCheck.data_too_large], database=None)
@given(st.lists(binary_networks(), min_size=8, max_size=8))
def test_c_computes_binarized_bodies_bit_for_bit(samples: list[BinarySample]):
    jobs: list[Job] = []
    for drawn in samples:
        inputs = {"image": drawn.images}
        compiled = compilation(drawn.sample, inputs)
        compiled.apply(BwnPass(), QuantizePass(CALIBRATION), ThresholdPass(), FusePass())
        parts = cut(compiled.network)
        assert parts.prologue is not None
        codes = run_network(parts.prologue, compiled.ctx.weights, inputs)
        jobs.append((parts.body, compiled.ctx.weights, codes))
    check(jobs, QUICK)
