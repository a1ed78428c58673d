"""Layers with a modelled multiplier: the reference by definition, C and RTL against the reference, and the proofs."""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from xdsl.dialects.builtin import DictionaryAttr, FloatData, ModuleOp, StringAttr, TensorType
from xdsl.ir import Operation, SSAValue
from xdsl.utils.exceptions import VerifyException

from hapir.context import HapirContext
from hapir.diagnostics import HapirError
from hapir.dialects import nn, num
from hapir.dialects.machine import UnitOp
from hapir.dialects.nn_products import ProductOp, operand_formats
from hapir.lowering.compress.use_multiplier import UseMultiplierPass
from hapir.multipliers.exact import Exact
from hapir.multipliers.model import Multiplier
from hapir.multipliers.truncated import Truncated
from hapir.reference.interpret import run_network
from hapir.registered import spell
from hapir.targets.c.build import build_c_together
from hapir.targets.c.emit import emit_c
from hapir.targets.estimate import estimate
from tests.property.integer_networks import IntegerSample, integer_networks
from tests.property.rtl_designs import Design, DesignDraw, build_design, designs
from tests.property.test_c_reference import FAST, Job, grouped
from tests.property.test_pass_lower_to_rtl import artefact_of, simulations_of

QUIET = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
ONE_BUILD = settings(max_examples=4, deadline=None, derandomize=True, suppress_health_check=QUIET,
                     phases=[Phase.generate])  # fmt: skip


def with_multiplier(op: Operation, model: Multiplier) -> int:
    """Mark every layer that the model can multiply; how many there are."""
    marked = 0
    for layer in op.walk():
        if isinstance(layer, ProductOp) and num.storage_of(num.element_type(layer.operands[0])) is not None:
            try:
                model.check(*operand_formats(layer))
            except (ValueError, VerifyException):  # too narrow for the model, or too wide for any
                continue
            layer.multiplier = StringAttr(spell(model))
            marked += 1
    return marked


def by_definition(op: ProductOp, model: Multiplier, x: np.ndarray, w: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """`bias + sum(multiply(q, w) - zero_point * w)`, one product after the other."""
    z = num.zero_point_of(num.element_type(op.operands[0]))

    def term(q: int, weight: int) -> int:
        return int(model.multiply(np.array(q), np.array(weight))) - z * weight

    if isinstance(op, nn.DenseOp):
        return np.array([[bias[k] + sum(map(term, row, w[k].tolist())) for k in range(len(w))] for row in x.tolist()])
    assert isinstance(op, nn.Conv2dOp)
    window, groups = op.window.window, op.groups.value.data
    (n, _, height, width), (k, per_group, *_) = x.shape, w.shape
    p, q = window.output(height, width)
    y = np.zeros((n, k, p, q), np.int64)
    for image, filter_, row, column in np.ndindex(n, k, p, q):
        total = int(bias[filter_])
        for channel, r, s in itertools.product(range(per_group), range(window.kernel[0]), range(window.kernel[1])):
            h = row * window.stride[0] - window.padding[0] + r * window.dilation[0]
            v = column * window.stride[1] - window.padding[1] + s * window.dilation[1]
            source = filter_ * groups // k * per_group + channel
            value = x[image, source, h, v] if 0 <= h < height and 0 <= v < width else z
            total += term(int(value), int(w[filter_, channel, r, s]))
        y[image, filter_, row, column] = total
    return y


def test_the_reference_follows_the_definition():
    compared: Counter[str] = Counter()

    @seed(3)
    @settings(max_examples=80, deadline=None, database=None, suppress_health_check=QUIET, phases=[Phase.generate])
    @given(integer_networks(max_layers=3), st.sampled_from((Truncated(1), Truncated(3), Exact())))
    def sweep(sample: IntegerSample, model: Multiplier) -> None:
        network = sample.network.clone()
        with_multiplier(network, model)

        def observe(op: Operation, results: tuple[np.ndarray, ...]) -> None:
            values.update(zip(op.results, results, strict=True))
            if isinstance(op, ProductOp) and op.multiplier is not None:
                x, w, *rest = (values[v] for v in op.operands)
                bias = rest[0] if rest else np.zeros(len(w), np.int64)
                if results[0].size * w[0].size < 10_000:
                    np.testing.assert_array_equal(results[0], by_definition(op, model, x, w, bias))
                    compared[op.name] += 1

        inputs = sample.inputs(2)
        names = [name.data for name in network.input_names]
        values: dict[SSAValue, np.ndarray] = dict(
            zip(network.body.block.args, (inputs[name] for name in names), strict=True)
        )
        run_network(network, sample.weights, inputs, observe=observe)

    sweep()
    assert compared["nn.conv2d"] >= 10


@settings(max_examples=20, deadline=None, suppress_health_check=QUIET)
@given(integer_networks())
def test_exact_as_a_model_changes_nothing(sample: IntegerSample):
    """The slow path with the exact model gives what the fast path gives: zero points, padding and groups agree."""
    network, inputs = sample.network.clone(), sample.inputs(2)
    with_multiplier(network, Exact())
    before, after = (run_network(n, sample.weights, inputs) for n in (sample.network, network))
    for name in before:
        np.testing.assert_array_equal(before[name], after[name])


@ONE_BUILD
@given(st.lists(integer_networks(), min_size=6, max_size=6), st.data())
def test_c_computes_what_the_reference_does(samples: list[IntegerSample], data: st.DataObject):
    jobs: list[Job] = []
    for sample in samples:
        network = grouped(sample.network, sample.weights)
        with_multiplier(network, data.draw(st.sampled_from((Truncated(1), Truncated(2), Truncated(5)))))
        jobs.append((network, sample.weights, sample.inputs(2)))
    artefacts = [emit_c(network, weights, f"net{i}") for i, (network, weights, _) in enumerate(jobs)]
    for (network, weights, inputs), module in zip(
        jobs, build_c_together(artefacts, flags=FAST, cache=False), strict=True
    ):
        expected, found = run_network(network, weights, inputs), module.run(inputs)
        for name, array in expected.items():
            np.testing.assert_array_equal(found[name], array)


def modelled_design(draw: DesignDraw, model: Multiplier, coverage: Counter[str]) -> Design:
    """The design with the model in its array and in its layers, in formats that the model takes."""
    design = build_design(draw)
    marked = with_multiplier(design.body, model)
    text = spell(model) if marked else "exact"
    for unit in design.machine.walk():
        if isinstance(unit, UnitOp) and unit.kind.data == "mac":
            unit.options = DictionaryAttr({**unit.options.data, "multiplier": StringAttr(text)})
    coverage[text] += 1
    coverage["signed"] += draw.signed
    return design


def _rtl_sweep(groups: int) -> Counter[str]:
    """Random machines with a modelled multiplier, four to a build: outputs and cycles per layer, exactly."""
    coverage: Counter[str] = Counter()

    @seed(20261126)
    @settings(max_examples=groups, deadline=None, database=None, phases=[Phase.generate], suppress_health_check=QUIET)
    @given(st.lists(designs(), min_size=4, max_size=4), st.data())
    def sweep(draws: list[DesignDraw], data: st.DataObject) -> None:
        models = [Truncated(data.draw(st.integers(1, draw.formats[0] - 1))) for draw in draws]
        # tight accumulators are drawn for exact products; both signs in every build
        loose = [replace(draw, tight=False, signed=n % 2 == 1) for n, draw in enumerate(draws)]
        built = [modelled_design(draw, model, coverage) for draw, model in zip(loose, models, strict=True)]
        simulations = simulations_of([artefact_of(design, n) for n, design in enumerate(built)])
        for design, simulation in zip(built, simulations, strict=True):
            x = design.inputs(2)
            expected = run_network(design.body, design.weights, {"x": x})["y"]
            np.testing.assert_array_equal(simulation.run({"x": x})["y"], expected)
            report = estimate(design.body, design.weights, design.machine, design.schedule)
            assert report.basis == "emitted"
            assert simulation.runs[-1].layer_cycles == tuple(layer.total_cycles for layer in report.layers)

    sweep()
    assert coverage["exact"] == 0
    return coverage


def test_rtl_computes_what_the_reference_does():
    coverage = _rtl_sweep(2)  # hypothesis begins with the simplest designs
    assert coverage["signed"] == 4
    assert len(coverage) >= 4


@pytest.mark.slow
def test_rtl_computes_what_the_reference_does_on_many_designs():
    assert len(_rtl_sweep(20)) == 1 + 7


def dense(bias: int, weight: int, inputs: int, zero_point: int = 0) -> tuple[ModuleOp, HapirContext]:
    """A dense layer of one unit whose weights are all the same."""
    x_type = num.AffineType(num.UI8, FloatData(0.5), zero_point)
    w_type = num.AffineType(num.SI8, FloatData(0.5), 0)
    network = nn.NetworkOp("n", [("x", TensorType(x_type, [1, inputs]))], [("y", TensorType(num.SI32, [1, 1]))])
    w = nn.WeightOp("w", TensorType(w_type, [1, inputs]))
    b = nn.WeightOp("b", TensorType(num.SI32, [1]))
    layer = nn.DenseOp(network.body.block.args[0], w.result, b.result, layer="f1")
    network.body.block.add_ops([w, b, layer, nn.ReturnOp([layer.result])])
    context = HapirContext()
    context.weights.put("w", np.full((1, inputs), weight, np.int8))
    context.weights.put("b", np.array([bias], np.int32))
    return ModuleOp([network]), context


@pytest.mark.parametrize("model", [Exact(), Truncated(7)], ids=spell)
def test_sums_are_proven_with_the_products_of_the_model(model: Multiplier):
    """One input more than fits is refused, and what is accepted never overflows on the worst input."""
    worst = int(max(abs(model.multiply(np.arange(256), np.array(-128)))))
    most = ((1 << 31) - 1 - 5) // worst
    module, context = dense(-5, -128, most)
    UseMultiplierPass(spell(model)).apply(context, module)
    network = module.body.block.first_op
    assert isinstance(network, nn.NetworkOp)
    assert run_network(network, context.weights, {"x": np.full((1, most), 255, np.uint8)})["y"][0, 0] < 0
    module, context = dense(-5, -128, most + 1)
    with pytest.raises(HapirError, match="HAP0509"):
        UseMultiplierPass(spell(model)).apply(context, module)


@pytest.mark.parametrize("zero_point", [0, 3, 255])
def test_a_dense_layer_follows_the_definition(zero_point: int):
    model = Truncated(3)
    module, context = dense(1000, -7, 9, zero_point)
    UseMultiplierPass(spell(model)).apply(context, module)
    network = module.body.block.first_op
    assert isinstance(network, nn.NetworkOp)
    (layer,) = (op for op in network.walk() if isinstance(op, nn.DenseOp))
    x = np.random.default_rng(0).integers(0, 256, (5, 9)).astype(np.uint8)
    expected = by_definition(layer, model, x, context.weights["w"], context.weights["b"])
    np.testing.assert_array_equal(run_network(network, context.weights, {"x": x})["y"], expected)
    layer.multiplier = None
    assert (expected != run_network(network, context.weights, {"x": x})["y"]).any()


def test_exact_takes_the_model_away_again():
    module, context = dense(0, 3, 4)
    before = str(module)
    UseMultiplierPass("truncated(2)").apply(context, module)
    assert 'multiplier = "truncated(bits = 2)"' in str(module)
    UseMultiplierPass("exact").apply(context, module)
    assert str(module) == before
