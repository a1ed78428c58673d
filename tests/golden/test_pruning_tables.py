"""The counts of the sources' pruning tables, on the networks of the library."""

from __future__ import annotations

import math

import numpy as np
import pytest
from xdsl.dialects.builtin import ModuleOp

from hapir.context import HapirContext
from hapir.dialects import nn
from hapir.dialects.num import shape_of
from hapir.lowering.compress.prune import PrunePass
from hapir.lowering.compress.structure.filter_prune import layer_cost
from hapir.lowering.compress.structure.structure_prune import StructurePrunePass
from hapir.pruners.magnitude import pruned_count
from hapir.random_weights import RandomWeights
from hapir.report.summary import macs
from tests.golden.test_network_counts import build, library, trained


def compiled(name: str) -> tuple[ModuleOp, HapirContext]:
    """A copy of a network of the library with random weights."""
    network, ctx = library(name).clone(), HapirContext()
    for op in network.body.block.ops:
        if isinstance(op, nn.WeightOp):
            ctx.weights.put(op.key.data, RandomWeights().array(op.key.data, shape_of(op.result)))
    return ModuleOp([network]), ctx


def products(root: ModuleOp | nn.NetworkOp) -> list[nn.ProductOp]:
    return [op for op in root.walk() if isinstance(op, nn.ProductOp)]


def weight_count(name: str) -> int:
    return sum(math.prod(shape_of(op.w)) for op in products(library(name)))


DEEP_COMPRESSION = [
    ("lenet_300_100", 266_200, "22K", 8.2, 12.14),
    ("lenet5", 430_500, "36K", 8.4, 11.97),
    ("alexnet", 60_954_656, "6.7M", 11.0, 9.10),
    ("vgg16", 138_344_128, "10.3M", 7.5, 13.40),
]
"""Weights, those left, density in per cent, ratio (tutorial, L1287 to L1295; Han et al., NIPS 2015, table 1)."""


@pytest.mark.parametrize(("name", "weights", "left", "density", "ratio"), DEEP_COMPRESSION)
def test_weights_left_of_the_deep_compression_networks(
    name: str, weights: int, left: str, density: float, ratio: float
) -> None:
    assert weight_count(name) == weights
    unit = {"K": 1e3, "M": 1e6}[left[-1]]
    kept = weights - pruned_count(weights, 1 - 1 / ratio)
    decimals = len(left[:-1].partition(".")[2])
    assert f"{kept / unit:.{decimals}f}" == left[:-1]
    assert 100 * kept / weights == pytest.approx(density, abs=0.06)


@pytest.mark.parametrize(("name", "weights", "left", "density", "ratio"), DEEP_COMPRESSION[:2])
def test_the_pass_leaves_as_many(name: str, weights: int, left: str, density: float, ratio: float) -> None:
    module, ctx = compiled(name)
    PrunePass(1 - 1 / ratio, scope="global").apply(ctx, module)
    arrays = [ctx.weights[op.w.owner.key.data] for op in products(module) if isinstance(op.w.owner, nn.WeightOp)]
    assert sum(int(np.count_nonzero(w)) for w in arrays) == weights - pruned_count(weights, 1 - 1 / ratio)


ALEXNET = [
    # layer, input, filters, kernel, padding, stride, groups, MACs, bits of one group with u2 maps
    ("conv1", "3, 224, 224", 96, 12, 0, 4, 1, 120_932_352, 8, 891_648),
    ("conv2", "96, 54, 54", 256, 5, 2, 1, 2, 895_795_200, 1, 900_096),
    ("conv3", "256, 27, 27", 384, 3, 1, 1, 1, 644_972_544, 1, 1_444_608),
    ("conv4", "384, 14, 14", 384, 3, 1, 1, 2, 130_056_192, 1, 407_040),
    ("conv5", "384, 14, 14", 256, 3, 1, 1, 2, 86_704_128, 1, 271_360),
]
"""DoReFa-AlexNet (Sydney thesis, table 4.1, L1043); a layer of two groups is counted for one of them there."""


@pytest.mark.parametrize("row", ALEXNET, ids=lambda row: row[0])
def test_what_the_layers_of_alexnet_cost(row: tuple[str, str, int, int, int, int, int, int, int, int]) -> None:
    _, shape, filters, kernel, padding, stride, groups, count, bits, memory = row
    options = f"channels = {filters}, kernel = {kernel}, padding = {padding}, stride = {stride}, groups = {groups}"
    size = int(shape.split(", ")[1])
    out = (size + 2 * padding - kernel) // stride + 1
    result = f"f32[1, {filters}, {out}, {out}]"
    text = f"network n(x: f32[1, {shape}]) -> {result} {{ return conv2d(x, {options}) }}\nschedule s of n {{}}"
    (op,) = products(build(text))
    assert layer_cost(op, "macs", 1, 2) == count
    assert layer_cost(op, "memory", bits, 2) == groups * memory


def test_the_multiplications_of_tiny_yolo() -> None:
    """Sydney thesis, table 4.2, L1059."""
    found = [macs(op) for op in products(library("tiny_yolo_v2"))]
    assert found == [74_760_192, *[199_360_512] * 5, 797_442_048, 1_594_884_096, 21_632_000]
    assert sum(found) == 3_485_520_896


def test_the_structures_of_densenet_and_resnet() -> None:
    """Columns, input channels and kernel positions of convolutions (Heidelberg thesis, table 6.1, L1394)."""
    convolutions = [op for op in products(library("densenet40")) if isinstance(op, nn.Conv2dOp)]
    shapes = [shape_of(op.w) for op in convolutions]
    assert len(shapes) == 39
    assert sum(math.prod(shape[1:]) for shape in shapes) == 73_715
    assert sum(shape[1] for shape in shapes) == 8_603
    assert sum(math.prod(shape[2:]) for shape in shapes) == 335
    resnet = [shape_of(op.w) for op in products(library("resnet56")) if isinstance(op, nn.Conv2dOp)]
    assert sum(math.prod(shape[1:]) for shape in resnet) == 17_739


def test_column_pruning_of_densenet40_counts_exactly() -> None:
    """From 1.02 M parameters and 0.265 G multiplications to a share of the columns (Heidelberg thesis, table 6.2)."""
    module, ctx = compiled("densenet40")
    before = [(op.layer_name, shape_of(op.w), macs(op)) for op in products(module)]
    assert trained(library("densenet40")) == 1_019_722
    assert f"{sum(cost for _, _, cost in before) / 1e9:.4f}" == "0.2648"
    StructurePrunePass("column", 0.78).apply(ctx, module)
    module.verify()
    for (name, old, cost), op in zip(before, products(module), strict=True):
        rows = math.prod(old[1:])
        left = rows - pruned_count(rows, 0.78)
        assert op.layer_name == name
        assert shape_of(op.w)[:2] == (old[0], left)
        assert macs(op) == cost * left // rows
