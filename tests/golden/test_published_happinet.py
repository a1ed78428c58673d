"""Exact numbers of Gross and Meyer, "Optimizing ML for Hardware" (tutorial, EPEPS 2019), and of HAPPi-Net's methods.

Those that need no training and concern numbers and compression: the accounting of VGG-16 and AlexNet, the reference
sizes of the pruning table, widths. HAPPi-Net is A. Frickenstein's thesis (TUM 2021); what it says of RAO and ALF is in
their papers (CRV 2019, DAC 2020). Fixed-point ranges, code lengths of ALF and the pruned counts are beside their code.
"""

from __future__ import annotations

import math

import numpy as np
import pytest

from hapir.dialects.formats import Bipolar, Fixed, Float32, Integer
from hapir.encodings.dense import Dense
from hapir.encodings.trits import Trits
from hapir.factorizations import alf, svd
from hapir.factorizations.stages import Maps, cost_of
from hapir.pruners.magnitude import pruned_count
from hapir.report.summary import LayerSummary, NetworkSummary
from hapir.search.half_interval import half_interval_evaluations
from tests.golden.published_networks import decimals, network, summary, weight_counts
from tests.property.encoded_symbols import symbols_from

VGG16 = [
    # layer, values that it writes (the tutorial rounds them: 3.2M, 800K, ...), weights, multiply-accumulates
    ("stage1.conv1", 3_211_264, 1_728, 86_704_128),
    ("stage1.conv2", 3_211_264, 36_864, 1_849_688_064),
    ("stage1.pool", 802_816, 0, 0),
    ("stage2.conv1", 1_605_632, 73_728, 924_844_032),
    ("stage2.conv2", 1_605_632, 147_456, 1_849_688_064),
    ("stage2.pool", 401_408, 0, 0),
    ("stage3.conv1", 802_816, 294_912, 924_844_032),
    ("stage3.conv2", 802_816, 589_824, 1_849_688_064),
    ("stage3.conv3", 802_816, 589_824, 1_849_688_064),
    ("stage3.pool", 200_704, 0, 0),
    ("stage4.conv1", 401_408, 1_179_648, 924_844_032),
    ("stage4.conv2", 401_408, 2_359_296, 1_849_688_064),
    ("stage4.conv3", 401_408, 2_359_296, 1_849_688_064),
    ("stage4.pool", 100_352, 0, 0),
    ("stage5.conv1", 100_352, 2_359_296, 462_422_016),
    ("stage5.conv2", 100_352, 2_359_296, 462_422_016),
    ("stage5.conv3", 100_352, 2_359_296, 462_422_016),
    ("stage5.pool", 25_088, 0, 0),
    ("fc6", 4_096, 102_760_448, 102_760_448),
    ("fc7", 4_096, 16_777_216, 16_777_216),
    ("fc8", 1_000, 4_096_000, 4_096_000),
]
"""Tutorial L397-418, biases not counted."""


def kept_maps(found: NetworkSummary) -> list[LayerSummary]:
    """The layers whose results take memory of their own: rectifiers work in place, flatten moves nothing."""
    return [layer for layer in found.layers if layer.op not in ("relu", "flatten")]


@pytest.mark.parametrize(("layer", "values", "weights", "macs"), VGG16, ids=lambda value: str(value))
def test_a_layer_of_vgg16(layer: str, values: int, weights: int, macs: int):
    """Tutorial L397-418, row by row."""
    (found,) = (la for la in summary("vgg16").layers if la.name == layer)
    biases = found.shape[1] if weights else 0
    assert (found.writes, found.parameters - biases, found.macs) == (values, weights, macs)


def test_sums_of_vgg16():
    """Tutorial L426-427: 138M parameters. It prints `24M * 4 B ~ 93MB` of maps: its own rows add up to 15.2 M values,
    61 MB, and 24 M times 4 bytes would be 96 MB."""
    found = summary("vgg16")
    rows = kept_maps(found)
    assert [layer.name for layer in rows] == [name for name, *_ in VGG16]
    image = found.layers[0].reads
    assert image == 150_528
    values = image + sum(layer.writes for layer in rows)
    assert values == 15_237_608
    assert values * Float32().bits // 8 == 60_950_432
    weights = sum(weight_counts(network("vgg16")))
    assert weights == 138_344_128
    assert found.parameters - weights == 13_416
    convolutions = sum(layer.macs for layer in found.layers if layer.op == "conv2d")
    assert (convolutions, found.macs) == (15_346_630_656, 15_470_264_320)
    # L422-424: most memory in the first convolutions, most parameters in the last layers
    first = image + sum(layer.writes for layer in rows[:2])
    assert decimals(100 * first / values, "43.1")
    assert decimals(100 * sum(weight_counts(network("vgg16"), "fc*")) / weights, "89.4")


def test_accesses_of_alexnet():
    """Tutorial L477 and L489: 724M MACs are 3000M accesses (rounded up) without reuse, 61M with all of it."""
    found = summary("alexnet")
    layers = [layer.macs for layer in found.layers if layer.macs]
    assert layers[:5] == [105_415_200, 223_948_800, 149_520_384, 112_140_288, 74_760_192]
    assert layers[5:] == [37_748_736, 16_777_216, 4_096_000]
    assert found.macs == sum(layers) == 724_406_816
    assert found.most_accesses == 2_897_627_264
    assert found.parameters == 60_965_224
    assert found.least_accesses == 60_965_224 + 154_587 + 1_000
    assert decimals(found.least_accesses / 1e6, "61.1")
    assert decimals(found.most_accesses / found.parameters, "47.5")


@pytest.mark.parametrize(
    ("name", "weights", "biases", "printed"),
    [
        ("lenet_300_100", 266_200, 410, "267"),
        ("lenet5", 430_500, 580, "431"),
        ("alexnet", 60_954_656, 10_568, "61"),
        ("vgg16", 138_344_128, 13_416, "138"),
    ],
)
def test_reference_sizes_of_pruning(name: str, weights: int, biases: int, printed: str):
    """Tutorial L1287-1295: 267K, 431K, 61M and 138M parameters, from Han et al., NIPS 2015, table 1."""
    assert sum(weight_counts(network(name))) == weights
    assert summary(name).parameters == weights + biases
    unit = 1e3 if weights < 1e6 else 1e6
    assert decimals((weights + biases) / unit, printed)


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
def test_fewer_bits_are_smaller(bits: int):
    """Tutorial L1250-1251: a network of N bits is 32 / N times smaller, 32 times at one bit."""
    symbols = symbols_from([0] * 960, bits)
    dense = Dense().fitted(symbols).part_bits(symbols)["codes"]
    assert Float32().bits * 960 == 32 // bits * dense
    assert (Bipolar(1) if bits == 1 else Integer(bits)).bits == bits


def test_five_trits_are_eight_bits():
    """Tutorial L1267-1272, ternary weights: 3^5 = 243 of 256, 1.6 bits each, where log2(3) is 1.58."""
    symbols = symbols_from([0, 1, 3] * 500, 2)
    packed = Trits().fitted(symbols).part_bits(symbols)["trits"] / 1500
    assert packed == 1.6
    assert symbols.entropy_bits / 1500 == pytest.approx(math.log2(3))
    assert packed / math.log2(3) < 1.01


@pytest.mark.parametrize(("integer", "fraction"), [(2, 5), (0, 7), (3, 4)])
def test_intervals_of_fixed_point(integer: int, fraction: int):
    """HAPPi-Net L548-592: <S, IB, FB> has Q = 1 + IB + FB bits, f_max = 2^IB - eps and p = 2^Q - 1 intervals."""
    format = Fixed(1 + integer, fraction)
    reals = np.sort(format.decode(np.arange(1 << format.bits, dtype=np.uint64)))
    assert format.bits == 1 + integer + fraction
    assert len(reals) - 1 == 2**format.bits - 1
    assert set(np.diff(reals).tolist()) == {2.0**-fraction}
    assert (reals[0], reals[-1]) == (-(2.0**integer), 2.0**integer - 2.0**-fraction)


def test_what_resource_aware_optimization_leaves():
    """RAO (CRV 2019): VGG-16 pruned 14.5 times leaves 9.54 M parameters, 93.1 % are gone; LeNet-5 in 1/385 of its
    memory takes 4.48 kB. A resolution of 1/128 needs 7 evaluations for each layer (HAPPi-Net L550)."""
    whole = summary("vgg16").parameters
    gone = pruned_count(whole, 1 - 1 / 14.5)
    assert decimals((whole - gone) / 1e6, "9.54")
    assert decimals(gone / whole, "0.931")
    assert decimals(summary("lenet5").parameters * Float32().bits / 8 / 385 / 1e3, "4.48")
    layers = len(weight_counts(network("vgg16")))
    assert layers * half_interval_evaluations(1 / 128) == 16 * 7


@pytest.mark.parametrize(("layer", "largest"), [("stage1.conv2", 57), ("stage3.conv2", 230), ("stage4.conv2", 460)])
def test_when_low_rank_filters_pay(layer: str, largest: int):
    """ALF (DAC 2020): a code of C_max = floor(C_i C_o K^2 / (C_i K^2 + C_o)) filters costs no more than the layer."""
    (found,) = (la for la in summary("vgg16").layers if la.name == layer)
    channels = found.shape[1]
    shape, maps = (channels, channels, 3, 3), Maps(found.shape[2:], found.shape[2:])  # pyright: ignore[reportArgumentType]  # rows and columns
    assert alf.largest_code(shape) == largest
    costs = [cost_of(svd.chain_shape(shape, "output", code), maps) for code in (largest, largest + 1)]
    assert costs[0].macs <= found.macs < costs[1].macs
    assert costs[0].parameters <= found.parameters - channels < costs[1].parameters
