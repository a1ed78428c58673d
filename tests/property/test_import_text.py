"""Networks as text: what is written reads back as the same network, and computes the same."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from xdsl.dialects.builtin import StringAttr, TensorType, f32
from xdsl.ir import SSAValue

from hapir.diagnostics import Findings
from hapir.dialects import nn
from hapir.dialects.nn_shapes import Window
from hapir.dialects.num import shape_of
from hapir.importers.read_back import NetworkText, is_layer, read_text
from hapir.importers.text import network_text
from hapir.reference.interpret import run_network
from hapir.spec import load_spec
from hapir.spec.format import format_text
from hapir.spec.networks import NetworkBuilder as SpecBuilder
from hapir.weights import WeightStore
from tests.property.network_builder import NetworkBuilder
from tests.property.odd_networks import SHAPES
from tests.property.strategies import FEATURES, Sample, networks

ROOT = Path(__file__).parents[2]
SPECS = sorted([*(ROOT / "targets/networks").glob("*.hap"), *(ROOT / "spec_examples").glob("*.hap")])
SETTINGS = settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    # shrinking a network takes minutes; a failing example prints its IR
    phases=(Phase.generate,),
    suppress_health_check=[HealthCheck.too_slow],
)


def networks_of(path: Path) -> dict[str, nn.NetworkOp]:
    """The networks of a spec with the defaults of their parameters."""
    program = load_spec(path, allow_outside=True).program
    return {name: SpecBuilder(n, Findings(), program=program).build() for name, n in program.networks.items()}


def assert_computes_the_same(sample: Sample, written: NetworkText) -> None:
    """The text, with the weights under their new keys, gives the very same numbers."""
    again = read_text(written)
    weights = {new: sample.weights[old] for new, old in written.weights.items()}
    assert {op.key.data for op in again.walk() if isinstance(op, nn.WeightOp)} == set(weights)
    with np.errstate(all="ignore"):
        expected = run_network(sample.network, sample.weights, sample.inputs())
        given = sample.inputs()
        found = run_network(again, weights, {written.inputs[0]: given["image"]})
    for mine, theirs in zip(expected.values(), found.values(), strict=True):
        np.testing.assert_array_equal(mine, theirs)


def assert_names_are_told(network: nn.NetworkOp, written: NetworkText) -> None:
    """`order` and `layers` name the layers of the text, in order."""
    again, before = (
        [str(op.properties["layer"]) for op in n.body.block.ops if is_layer(op)] for n in (read_text(written), network)
    )
    assert [f'"{name}"' for name in written.order] == again
    assert [f'"{written.layers[name[1:-1]]}"' for name in before] == again


@given(networks(max_layers=8, allow=FEATURES - {"gather_taps"}))
@SETTINGS
def test_random_networks_read_back(sample: Sample):
    written = network_text(sample.network)
    assert_computes_the_same(sample, written)
    assert format_text(written.text, "x.hap") == written.text
    assert_names_are_told(sample.network, written)


@given(networks(max_layers=8, allow=FEATURES - {"gather_taps"}, names=None))
@SETTINGS
def test_names_stay_where_no_block_is_made(sample: Sample):
    written = network_text(sample.network, blocks=False)
    kept = {old: new for old, new in written.layers.items() if old != new}
    # a flatten is called after the layer that it stands in
    assert all(re.fullmatch(r"flatten\d*", old) and new.endswith(".flatten") for old, new in kept.items())


@pytest.mark.parametrize("shape", SHAPES)
def test_odd_networks_read_back(shape: str):
    sample = SHAPES[shape](0)
    assert_computes_the_same(sample, network_text(sample.network))


Step = Callable[[NetworkBuilder, SSAValue, int], SSAValue]
SAME = Window((3, 3), padding=(1, 1, 1, 1))


def _relu(build: NetworkBuilder, x: SSAValue) -> SSAValue:
    return build.append(nn.ReluOp(x, layer=build.name("relu")))


def _chain(build: NetworkBuilder, x: SSAValue, channels: int) -> SSAValue:
    for _ in range(2):
        x = _relu(build, build.batch_norm(build.conv2d(x, channels, SAME)))
    return x


def _residual(build: NetworkBuilder, x: SSAValue, channels: int) -> SSAValue:
    inside = _chain(build, x, 2 * channels)
    inside = build.batch_norm(build.conv2d(inside, shape_of(x)[1], SAME, bias=False))
    return _relu(build, build.append(nn.AddOp(inside, x, layer=build.name("add"))))


def _branches(build: NetworkBuilder, x: SSAValue, channels: int) -> SSAValue:
    pieces = build.append_all(nn.SplitOp(x, [1, shape_of(x)[1] - 1], layer=build.name("split")))
    ways = [_relu(build, build.conv2d(piece, channels, SAME)) for piece in pieces]
    return build.append(nn.ConcatOp([*ways, x], layer=build.name("concat")))


def _dense(build: NetworkBuilder, x: SSAValue, channels: int) -> SSAValue:
    return build.append(nn.ConcatOp([x, _chain(build, x, channels)], layer=build.name("concat")))


STEPS: dict[str, Step] = {"chain": _chain, "residual": _residual, "branches": _branches, "dense": _dense}


@st.composite
def repeating(draw: st.DrawFn) -> tuple[Sample, Sequence[str]]:
    """A network of few kinds of stretches, each several times in a row, with channels of their own."""
    build = NetworkBuilder([], draw(st.integers(0, 2**16)))
    image = nn.WeightOp("image", TensorType(f32, (1, 3, 4, 4))).result
    kinds = draw(st.lists(st.sampled_from(sorted(STEPS)), min_size=1, max_size=3))
    # names of modules, names of no meaning, or none but those of the kinds
    style = draw(st.sampled_from(["module", "flat"]))
    x = build.conv2d(image, 4, SAME)
    for number, kind in enumerate(kinds):
        channels = draw(st.integers(2, 4))
        for turn in range(draw(st.integers(2, 5))):
            first = len(build.ops)
            x = STEPS[kind](build, x, channels if draw(st.booleans()) else channels + 1)
            for op in build.ops[first:] if style == "module" else []:
                rename(build.weights, op, f"stage{number}.block{turn}.")
    return Sample(build.finish("sample", image, [("y", x)]), build.weights, (1, 3, 4, 4)), kinds


def rename(weights: WeightStore, op: object, prefix: str) -> None:
    """Put a layer and its parameters into a module."""
    if isinstance(op, nn.WeightOp):
        weights.put(prefix + op.key.data, weights[op.key.data])
        op.properties["key"] = StringAttr(prefix + op.key.data)
    elif isinstance(op, nn.LayerOp):
        op.properties["layer"] = StringAttr(f"{prefix}{op.layer_name}")


@given(repeating())
@settings(SETTINGS, max_examples=12)
def test_repeated_stretches_read_back(drawn: tuple[Sample, Sequence[str]]):
    sample, _ = drawn
    check_repeating(sample)


def check_repeating(sample: Sample) -> None:
    """With blocks and without, the text says the network; blocks make it no longer."""
    written = network_text(sample.network)
    assert_computes_the_same(sample, written)
    assert_names_are_told(sample.network, written)
    flat = network_text(sample.network, blocks=False)
    assert len(written.text.splitlines()) <= len(flat.text.splitlines())


@pytest.mark.slow
@given(repeating())
@settings(SETTINGS, max_examples=600, derandomize=False)
def test_many_repeated_stretches_read_back(drawn: tuple[Sample, Sequence[str]]):
    check_repeating(drawn[0])


@pytest.mark.slow
@given(networks(max_layers=16, allow=FEATURES - {"gather_taps"}))
@settings(SETTINGS, max_examples=1500, derandomize=False)
def test_many_random_networks_read_back(sample: Sample):
    assert_computes_the_same(sample, network_text(sample.network))


def test_a_repeated_residual_block_is_written_once():
    build = NetworkBuilder([], 0)
    image = nn.WeightOp("image", TensorType(f32, (1, 3, 4, 4))).result
    x = build.conv2d(image, 4, SAME)
    for channels in (2, 2, 2, 2, 2, 3):
        x = _residual(build, x, channels)
    sample = Sample(build.finish("sample", image, [("y", x)]), build.weights, (1, 3, 4, 4))
    written = network_text(sample.network)
    assert (
        written.text
        == """hap 1

block residual(x, channels) {
    conv1 = conv2d(x, channels = channels, kernel = 3, padding = 1)
    bn1 = batch_norm(conv1)
    relu1 = relu(bn1)
    conv2 = conv2d(relu1, channels = channels, kernel = 3, padding = 1)
    bn2 = batch_norm(conv2)
    relu2 = relu(bn2)
    conv3 = conv2d(relu2, channels = 4, kernel = 3, padding = 1, bias = false)
    bn3 = batch_norm(conv3)
    return relu(add(bn3, x))
}

network sample(image: f32[1, 3, 4, 4]) -> (y: f32[1, 4, 4, 4]) {
    weights from "model.safetensors"
    conv0 = conv2d(image, channels = 4, kernel = 3, padding = 1)
    residual[1] = residual(conv0, channels = 4)
    repeat i in range(2, 5) {
        residual = residual(residual[i - 1], channels = 4)
    }
    residual6 = residual(residual[5], channels = 6)
    return residual6
}
"""
    )
    assert written.weights["residual3.conv1.weight"] == "conv21.weight"
    assert_computes_the_same(sample, written)


MOST_LINES = {
    "resnet50": 75,
    "resnet152": 75,
    "densenet121": 60,
    "mobilenet_v2": 85,
    "vgg16": 45,
    "squeezenet_1_1": 40,
    "googlenet": 130,
    "googlenet_bn": 140,
    "lstm_timit": 20,
}
"""Lines of networks that people know; written by hand, with blocks of a file of their own, they have 20 to 60."""


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.stem)
def test_networks_of_the_repository_read_back(path: Path):
    for name, network in networks_of(path).items():
        written = network_text(network)  # which compares what it reads back
        assert_names_are_told(network, written)
        assert len(written.text.splitlines()) <= MOST_LINES.get(name, 90)
