"""Exact numbers of the UCSD thesis that need no training and concern numbers and compression.

Akhlaghi, "Algorithm-Hardware Optimization of Deep Neural Networks for Edge Applications", UCSD 2020. A row says what is
right; where the thesis prints something else, a comment says what and why. The tables of chapter 5 are in
`test_generator_counts.py`.
"""

from __future__ import annotations

from math import prod

import numpy as np
import pytest

from hapir.dialects.formats import Bfloat, Fixed, Float32
from hapir.dialects.nn import Conv2dOp
from hapir.dialects.num import shape_of
from hapir.factorizations import bsg, csg
from hapir.factorizations.slices import grid_of, slice_count
from hapir.quantizers.fixed_point import choose_fixed
from tests.golden.published_networks import decimals, network, summary
from tests.golden.test_network_counts import trained

TABLE_1_1 = [
    # network, arguments, trained parameters, MACs; as the thesis rounds them
    ("vgg19_bn", "", 143_678_248, "144", "19.6"),
    ("mobilenet_v2", "", 3_504_872, "3.5", "0.30"),  # printed: 3.4M, as in the paper
    ("resnet18", "", 11_689_512, "11.7", "1.8"),  # printed: 11.1M, without the last layer (and cut)
    # printed: 3.8B, of the paper's form, whose first 1 x 1 halves the map
    ("resnet50", "", 25_557_032, "25.6", "4.1"),
    ("resnext", "width = 64, groups = 1, first = 2", 25_557_032, "25.6", "3.9"),
    # printed: 44.7M, with the statistics of norms, and 7.6B of the paper's form
    ("resnet101", "", 44_549_160, "44.5", "7.8"),
    ("resnext", "width = 64, groups = 1, first = 2, third = 23", 44_549_160, "44.5", "7.6"),
    ("resnext", "", 25_028_904, "25.0", "4.2"),  # printed: 25.6M and 3.8B, the row of ResNet-50
    # printed: 79.8M and 15.2B
    ("resnext", "width = 256, groups = 64, third = 23", 83_455_272, "83.5", "15.5"),
]


@pytest.mark.parametrize(("name", "arguments", "exact", "millions", "giga"), TABLE_1_1)
def test_networks_of_the_introduction(name: str, arguments: str, exact: int, millions: str, giga: str):
    """UCSD, Table 1.1 (L379-386)."""
    assert trained(network(name, arguments)) == exact
    assert decimals(exact / 1e6, millions)
    assert decimals(summary(name, arguments).macs / 1e9, giga)


@pytest.mark.parametrize(
    ("name", "convolutions", "dense", "megabytes"),
    [
        ("alexnet", 5, 3, "244"),  # printed: 224
        ("googlenet", 57, 1, "28"),  # printed: 54, with both auxiliary classifiers of the training
        ("squeezenet_1_0", 26, 0, "5"),  # printed: one dense layer, which SqueezeNet replaces, and 6 MB
        ("vgg16", 13, 3, "553"),  # printed: 554
    ],
)
def test_layers_and_sizes(name: str, convolutions: int, dense: int, megabytes: str):
    """UCSD, Table 3.1 (L1125-1128): convolutions, dense layers, and f32 parameters in MB."""
    kinds = [layer.op for layer in summary(name).layers]
    assert (kinds.count("conv2d"), kinds.count("dense")) == (convolutions, dense)
    assert decimals(summary(name).parameters * Float32().bits / 8e6, megabytes)


@pytest.mark.parametrize("name", ["alexnet", "vgg16", "resnet50", "mobilenet_v2"])
def test_convolutions_are_nearly_all_operations(name: str):
    """UCSD L363 and L1062: more than 90 %, about 1 % in dense layers of networks that have few of them."""
    found = summary(name)
    share = sum(layer.macs for layer in found.layers if layer.op == "conv2d") / found.macs
    assert share > 0.9
    if name != "alexnet":
        assert 1 - share < 0.011


# --- formats ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("bits", "same"), [(9, True), (16, True), (17, False)])
def test_keys_of_two_floats(bits: int, same: bool):
    """UCSD L661-667: 0.45 and 0.451 are 0x3EE66666 and 0x3EE6E979; their first 9 bits (sign and exponent) and their
    first 16 are equal."""
    codes = Float32().encode(np.array([0.45, 0.451])).tolist()
    assert codes == [0x3EE66666, 0x3EE6E979]
    assert (len({code >> (32 - bits) for code in codes}) == 1) == same


@pytest.mark.parametrize(("mantissa", "bits"), [(1, 10), (2, 11), (3, 12), (4, 13), (7, 16)])
def test_short_mantissas(mantissa: int, bits: int):
    """UCSD L1400-1494 (S19): sign, 8 bits of exponent and q of mantissa; the relative error is at most 2^-(q + 1)."""
    format = Bfloat(mantissa)
    assert format.bits == bits
    x = np.random.default_rng(0).normal(size=20_000) * np.logspace(-30, 30, 20_000)
    error = np.abs(format.round(x) - x) / np.abs(x)
    half_step = 2.0 ** -(mantissa + 1)
    worst = half_step / (1 + half_step)  # half-way above a power of two
    assert 0.98 * worst < error.max() <= worst < half_step
    np.testing.assert_array_equal(format.round(format.round(x)), format.round(x))
    wide = Bfloat(7).round(x)
    assert np.array_equal(format.round(wide), wide) == (mantissa == 7)


@pytest.mark.parametrize(("largest", "integer"), [(0.9, 1), (15.5, 5)])
@pytest.mark.parametrize("fraction", [4, 5, 6, 7])
def test_fraction_bits(largest: float, integer: int, fraction: int):
    """UCSD L1586-1704 (S16): 1 integer bit for weights, 5 for maps; 4 to 7 fraction bits, an error of 2^-(q + 1)."""
    x = np.linspace(-largest, largest, 999)
    found = choose_fixed(x, None, integer + fraction, "max_abs", np.rint)
    assert found == Fixed(integer, fraction)
    error = np.abs(found.round(x) - x)
    assert 0.9 * 2.0 ** -(fraction + 1) < error.max() <= 2.0 ** -(fraction + 1)
    assert found.range == (-(2.0 ** (integer - 1)), 2.0 ** (integer - 1) - 2.0**-fraction)


# --- generators -------------------------------------------------------------------------------------------------------

WIDE, NARROW, POINT = (16, 16, 3, 3), (12, 12, 3, 3), (16, 16, 1, 1)


@pytest.mark.parametrize(("slice_shape", "code", "ratio"), [(WIDE, 128, 18), (NARROW, 72, 18), (POINT, 16, 16)])
def test_weights_for_a_number_of_a_code(slice_shape: tuple[int, ...], code: int, ratio: int):
    """UCSD L1894-1928: CSG-[16,16,3,3]-128 and CSG-[12,12,3,3]-72 are 18 times smaller, CSG-[16,16,1,1]-16 is 16."""
    bank = (4 * slice_shape[0], 3 * slice_shape[1], *slice_shape[2:])
    count = csg.parameter_count(0, slice_count(bank, slice_shape), slice_shape, code, own_matrix=False)
    assert prod(bank) == ratio * count


def test_slices_of_the_stages_of_resnet56():
    """UCSD L1984-2054: 18, 70 and 280 slices, so 41 472, 161 280 and 645 120 weights that a generator streams, none
    of them cropped; a slice repeats after n_c weights."""
    slices = dict.fromkeys(("layer1", "layer2", "layer3"), 0)
    kept = dict.fromkeys(slices, 0)
    for op in network("resnet56").walk():
        if isinstance(op, Conv2dOp) and (stage := str(op.layer_name).partition(".")[0]) in slices:
            bank = shape_of(op.w)
            assert prod(grid_of(bank, WIDE)) == slice_count(bank, WIDE)
            slices[stage] += slice_count(bank, WIDE)
            kept[stage] += prod(bank)
    assert list(slices.values()) == [18, 70, 280]
    streamed = [count * prod(WIDE) for count in slices.values()]
    assert streamed == [41_472, 161_280, 645_120] == list(kept.values())
    bits = np.random.default_rng(0).integers(0, 2, (1, 256), dtype=np.uint8)
    period = bsg.generated(bits, bsg.random_base(256, 0), prod(WIDE)).reshape(9, 256)
    assert (period == period[0]).all()  # each weight of a slice of 2304 comes nine times


def test_operations_of_the_compressed_networks():
    """UCSD, Tables 5.5 to 5.8 (L2206-2256): the networks that BSG runs on."""
    assert summary("resnet56").macs == 125_485_696
    found = summary("mobilenet_v2_cifar")
    assert trained(network("mobilenet_v2_cifar")) == 2_296_922
    assert found.macs == 91_154_944
    widening = [layer.macs for layer in found.layers if layer.name.endswith("expand.conv")]
    assert (len(widening), sum(widening)) == (17, 38_699_008)
