"""Exact numbers of the Heidelberg thesis that need no training and concern numbers and compression.

Schindler, "Compressing and Mapping Deep Neural Networks on Edge Computing Systems", Heidelberg 2021. A row says what is
right; where the thesis prints something else, a comment says what and why. Test vectors of the codec, the law of
storage, nested means of densities, clipping points and thresholds are beside the code they check.
"""

from __future__ import annotations

import numpy as np
import pytest
from xdsl.dialects.builtin import ModuleOp

from hapir.context import HapirContext
from hapir.dialects.formats import Fixed, Float32, Integer
from hapir.dialects.nn import NetworkOp, WeightOp
from hapir.dialects.num import shape_of
from hapir.encodings.dense import Dense
from hapir.encodings.encoding import Encoding, Symbols
from hapir.encodings.huffman import Huffman
from hapir.encodings.ras import Ras
from hapir.lowering.compress.encode import EncodePass
from hapir.lowering.compress.weights.dorefa import DorefaPass
from hapir.lowering.network_edits import networks_of
from hapir.quantizers.n_ary import NAry, binary, n_ary
from hapir.quantizers.sorted_values import SortedValues
from hapir.random_weights import RandomWeights
from hapir.report.compression import Footprint
from hapir.report.footprint import footprints
from tests.golden.published_networks import convolution_outputs, decimals, multiplying, network, summary, weight_counts
from tests.golden.test_network_counts import trained
from tests.property.encoded_symbols import symbols_from
from tests.unit.densities import GAUSS
from tests.unit.test_encodings import ALEXNET_ENDS, ALEXNET_HIDDEN


def bits_of(encoding: Encoding, symbols: Symbols) -> dict[str, int]:
    """The bits of every part of some symbols."""
    return encoding.fitted(symbols).part_bits(symbols)


def ternary(count: int, sparsity: float, columns: int = 0) -> Symbols:
    """Independent ternary weights of 2 bits, either sign alike; rows of `columns` where they are given."""
    draws = np.random.default_rng(3).random(count)
    density = 1 - sparsity
    values = np.where(draws < density / 2, 1, np.where(draws < density, 3, 0))
    return symbols_from(values.astype(np.uint8), 2, shape=(count // columns, columns) if columns else ())


# --- formats ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("operand", "product", "total"), [(8, 16, 9), (4, 8, 5)])
def test_how_wide_products_and_sums_of_integers_are(operand: int, product: int, total: int):
    """Heidelberg L473: int8 * int8 needs int16, int8 + int8 needs int9; L556: |a * b| <= 64 of int4 fits int8."""
    low, high = Integer(operand).range
    for needed, largest, smallest in ((product, low * low, low * high), (total, 2 * high, 2 * low)):
        assert Integer(needed).range[0] <= smallest < largest <= Integer(needed).range[1]
        narrower = Integer(needed - 1).range
        assert smallest < narrower[0] or largest > narrower[1]
    assert operand != 4 or low * low == 64


@pytest.mark.parametrize(
    ("format", "low", "high", "step"),
    [
        # Heidelberg L827-833 (eq. 5.8 writes int8 for the activations of Q0.8, which are unsigned) and L849-854
        (Fixed(0, 8, signed=False), 0.0, 255 / 256, 1 / 256),
        (Fixed(8, 0), -128.0, 127.0, 1.0),
        (Fixed(16, 16), -32768.0, 32768 - 2.0**-16, 2.0**-16),
        (Fixed(8, 8), -128.0, 128 - 1 / 256, 1 / 256),
    ],
    ids=str,
)
def test_fixed_point_of_reduce_and_scale(format: Fixed, low: float, high: float, step: float):
    assert format.range == (low, high)
    assert format.round(np.array([0.6 * step])).item() == step
    # a product of Q0.8 and Q8.0 is a multiple of 2^-8 and fits Q8.8, sums of them fit Q16.16
    assert Fixed(8, 8).range[0] <= Fixed(0, 8, signed=False).range[1] * Fixed(8, 0).range[0]


@pytest.mark.parametrize(
    ("rule", "bits", "lists", "bits_without_zeros"),
    [
        (NAry(1, 1), 2, 2, 1),
        (NAry(2, 1), 2, 3, 2),  # quaternary+
        (NAry(1, 2), 2, 3, 2),  # quaternary-
        # Heidelberg L1073 says two bits: those of a weight that is not 0; Table 5.8 says three, those of any
        (NAry(2, 2), 3, 4, 2),
    ],
    ids=["ternary", "quaternary+", "quaternary-", "quinary"],
)
def test_n_ary_codes(rule: NAry, bits: int, lists: int, bits_without_zeros: int):
    """Heidelberg, Table 5.8 (L1039-1073): bits of a code and index lists of a row, one for each level but 0."""
    coded = n_ary(np.random.default_rng(0).normal(size=(8, 500)), rule)
    assert coded.bits == bits
    symbols = symbols_from(coded.codes.ravel().tolist(), coded.bits, coded.zero_code, coded.codes.shape)
    fitted = Ras(index_bits=16).fitted(symbols)
    assert isinstance(fitted, Ras)
    assert fitted.levels == lists
    values = bits_of(Huffman(source="gaps"), symbols)["values"]
    assert values == symbols.nonzeros * bits_without_zeros


def test_binary_codes():
    """Heidelberg, Table 5.8: one bit, and no zero that an index list could leave out."""
    coded = binary(np.random.default_rng(0).normal(size=(8, 50)))
    assert (coded.bits, coded.zero_code) == (1, None)
    assert Ras().unfit(symbols_from(coded.codes.ravel().tolist(), 1, coded.zero_code)) is not None


def test_nested_means_of_four_weights():
    """Heidelberg L1085-1093 with two positive levels on {1, 2, 3, 4}: thresholds 2.5 and 3.5, {1, 2} become 0."""
    w = np.array([[1.0, 2.0, 3.0, 4.0]])
    rule = NAry(2, 0)
    np.testing.assert_allclose(rule.edges(SortedValues(w)), [2.5, 3.5])
    assert n_ary(w, rule).reals().tolist() == [[0.0, 0.0, 3.0, 4.0]]


def test_quantiles_that_leave_out_a_hundredth():
    """Heidelberg, Table 5.10 (L1169): 11, 22, 33, 22 and 11 % add up to 99; scaled up they are symmetric."""
    edges = NAry(2, 2, "quantile", shares=(0.11, 0.22, 0.33, 0.22, 0.11)).edges(GAUSS)
    np.testing.assert_allclose(edges, [-1.221, -0.431, 0.431, 1.221], atol=5e-4)
    assert [f"{edge:.1f}" for edge in edges[2:]] == ["0.4", "1.2"]


# --- storage ----------------------------------------------------------------------------------------------------------

HIDDEN = {
    "svhn": tuple(f"conv{i}" for i in range(1, 7)),
    "resnet44": "layer*",
    "alexnet": ("conv2", "conv3", "conv4", "conv5", "fc6", "fc7"),
}
"""All but the first and the last layer, which stay f32 (Heidelberg L913)."""


def plain_bytes(name: str, bits: int) -> float:
    """A network whose parameters all take so many bits, without norms (the thesis leaves them out of its sizes)."""
    return multiplying(summary(name)) * bits / 8


@pytest.mark.parametrize(
    ("name", "parameters", "f32", "i8", "unit"),
    [
        ("svhn", 2_080_330, "8321", "2080", 1e3),
        ("resnet44", 655_418, "2622", "655", 1e3),
        ("alexnet", 60_965_224, "244", "61", 1e6),
    ],
)
def test_sizes_of_the_baselines(name: str, parameters: int, f32: str, i8: str, unit: float):
    """Heidelberg, Tables 5.2 to 5.4 (L921-962): memory of the float network and with 8 bits; k and M are decimal."""
    assert multiplying(summary(name)) == parameters
    assert decimals(plain_bytes(name, Float32().bits) / unit, f32)
    assert decimals(plain_bytes(name, Integer(8).bits) / unit, i8)


def with_random_weights(op: NetworkOp) -> tuple[ModuleOp, HapirContext]:
    """A copy of a network, and a context with weights for it."""
    module, ctx = ModuleOp([op.clone()]), HapirContext()
    for weight in module.walk():
        if isinstance(weight, WeightOp):
            key = weight.key.data
            ctx.weights.put(key, RandomWeights().array(key, shape_of(weight.result)))
    return module, ctx


@pytest.mark.parametrize(
    ("name", "kilobytes"),
    [
        ("svhn", 294),  # the thesis prints 299: 1.7 % more than one bit for each hidden weight and f32 for the rest
        ("resnet44", 86),  # printed: 82, which is 2622 / 32 without the f32 of the first and the last layer
    ],
)
def test_sizes_of_binary_networks(name: str, kilobytes: int):
    """Heidelberg, Tables 5.2 and 5.3 (L921-950): the passes on the networks, as the report counts their bytes."""
    module, ctx = with_random_weights(network(name))
    DorefaPass(layers=HIDDEN[name], zeros="positive").apply(ctx, module)
    EncodePass("dense", layers=HIDDEN[name]).apply(ctx, module)
    (op,) = networks_of(module)
    counted = footprints(op, ctx.weights)
    norms = sum(found.disk_bytes for kind, found in counted.values() if kind == "batch_norm")
    whole = sum((found for _, found in counted.values()), Footprint())
    assert decimals((whole.disk_bytes - norms) / 1e3, str(kilobytes))


def test_the_size_of_a_binary_alexnet():
    """Heidelberg, Table 5.4 (L952-962) prints 24 MB: 16.5 MB of f32 ends, and a bit for each hidden weight."""
    layers = weight_counts(network("alexnet"), HIDDEN["alexnet"])
    assert tuple(layers) == ALEXNET_HIDDEN  # what the codec stores in 25.29, 22.25 and 19.14 MB
    hidden = sum(layers)
    ends = sum(weight_counts(network("alexnet"))) - hidden
    assert ends == ALEXNET_ENDS
    assert decimals(ends * 4 / 1e6, "16.5")
    assert decimals((ends * 4 + hidden / 8) / 1e6, "23.6")


@pytest.mark.slow
def test_a_deeper_binary_network_against_reduce_and_scale():
    """Heidelberg L999: 272 layers of one bit take 4.7 times the 117 kB of ternary ResNet-44."""
    deep = summary("resnet_cifar")
    assert multiplying(deep) == 4_332_602
    assert sum(layer.macs > 0 for layer in deep.layers) == 272
    ends = sum(weight_counts(network("resnet_cifar"), ("conv1", "fc"))) + 10
    kilobytes = ((multiplying(deep) - ends) / 8 + 4 * ends) / 1e3
    assert decimals(kilobytes, "545.8")
    assert decimals(kilobytes / 117, "4.66")


def test_deep_compression_against_reduce_and_scale():
    """Heidelberg, Table 5.7 (L1005-1020): hidden layers of AlexNet with 68 % zeros, one code for all of them."""
    hidden = sum(weight_counts(network("alexnet"), HIDDEN["alexnet"]))
    whole = multiplying(summary("alexnet"))
    assert decimals(hidden * 4 / 1e6, "227.3")
    assert decimals(0.68 * hidden / whole, "0.63")  # 63 % zeros in all
    sample = ternary(2_000_000, 0.68)
    bits = sum(bits_of(Huffman(source="gaps"), sample).values()) / 2_000_000
    stored = hidden * bits / 8
    assert stored / 1e6 == pytest.approx(8.7, rel=0.02)
    assert decimals(100 * (1 - stored / (hidden * 4)), "96.1")  # the thesis: 96.2, from its rounded 8.7 MB
    rest = (whole - hidden) * 4
    assert 100 * (1 - (stored + rest) / (whole * 4)) == pytest.approx(89.7, abs=0.1)
    # the printed ratios of Deep Compression follow from its printed sizes, the first cut and not rounded: 97.17
    assert 100 * (1 - 6.9e6 / (whole * 4)) == pytest.approx(97.1, abs=0.1)
    assert decimals(100 * (1 - 5.9e6 / (hidden * 4)), "97.4")


@pytest.mark.parametrize(("sparsity", "bits", "times"), [(0.58, 6.7, 4.8), (0.89, 1.8, 18.0)])
def test_index_lists_are_larger_than_what_is_stored(sparsity: float, bits: float, times: float):
    """Heidelberg L870-882: 16-bit column numbers, so 16 p bits per weight; 4.8 and 18 times less than f32."""
    symbols = ternary(1_000_000, sparsity, columns=2000)
    found = bits_of(Ras(index_bits=16), symbols)
    per_weight = found["indices"] / 1_000_000
    assert per_weight == pytest.approx(bits, abs=0.05)
    assert Float32().bits / per_weight == pytest.approx(times, rel=0.015)
    assert found["pointers"] < 0.02 * found["indices"]
    assert sum(bits_of(Huffman(source="gaps"), symbols).values()) < sum(found.values()) / 2


def test_two_bits_are_a_sixteenth():
    """Heidelberg L892: dense ternary codes are 16 times smaller than f32; the code is smaller still."""
    symbols = ternary(100_000, 0.6)
    assert Float32().bits * 100_000 == 16 * bits_of(Dense(), symbols)["codes"]
    assert sum(bits_of(Huffman(source="gaps"), symbols).values()) < bits_of(Dense(), symbols)["codes"]


# --- counts of networks -----------------------------------------------------------------------------------------------


def test_hidden_layers_of_the_mnist_network():
    """Heidelberg L666-676: 8.6 and 17.3 times faster hidden layers make the whole 5.1 and 7.0 times faster.

    By Amdahl's law on the share of the MACs that is 5.145 and 7.089.
    """
    found = summary("mlp")
    hidden = sum(layer.macs for layer in found.layers if layer.name in ("fc2", "fc3"))
    assert (hidden, found.macs) == (33_554_432, 36_806_656)
    share = hidden / found.macs
    assert decimals(share, "0.9116")
    assert [f"{1 / (1 - share + share / times):.3f}" for times in (8.6, 17.3)] == ["5.145", "7.089"]


COLUMN_PRUNING = [
    # network, arguments, trained parameters, those without norms, MACs in G; the printed M and G
    ("resnet56", "", 853_018, 848_954, "0.1255", "0.85", "0.13"),
    # printed twice: 0.27 G, rounded up; Table 6.1 prints 0.53 G operations, which are these MACs
    ("densenet40", "", 1_019_722, 1_001_626, "0.2648", "1.02", "0.26"),
    ("densenet40", "layers = 32", 6_979_642, 6_862_426, "1.7695", "6.98", "1.77"),
    ("resnet56", "classes = 100", 858_868, 854_804, "0.1255", "0.86", "0.13"),
    ("densenet40", "classes = 100", 1_060_132, 1_042_036, "0.2649", "1.06", "0.26"),
    # printed: 7.09 M, rounded up
    ("densenet40", "layers = 32, classes = 100", 7_084_852, 6_967_636, "1.7696", "7.08", "1.77"),
    # printed: 11.85 M and 1.82 G of a variant that the thesis does not describe
    ("resnet18", "", 11_689_512, 11_679_912, "1.8141", "11.69", "1.81"),
    # printed: 25.61 M, which counts the statistics of batch norms too (25 610 152)
    ("resnet50", "", 25_557_032, 25_503_912, "4.0892", "25.56", "4.09"),
    # printed: 7.91 M, which is neither all (7.98 M) nor those without norms (7.90 M), and 2.84 G, rounded up
    ("densenet121", "", 7_978_856, 7_895_208, "2.8342", "7.98", "2.83"),
    # printed: 10.80 M and 3.05 G, 23.66 M and 5.23 G: without norms
    ("densenet_c", "", 10_869_096, 10_800_296, "3.0465", "10.87", "3.05"),
    ("densenet_c", "third = 48", 23_806_824, 23_656_616, "5.2314", "23.81", "5.23"),
]
"""Heidelberg, Tables 6.1 to 6.3 (L1394-1458). The MACs of Table 6.1, 0.53 G, are operations: twice those of 6.2."""


@pytest.mark.parametrize(("name", "arguments", "parameters", "plain", "exact", "millions", "giga"), COLUMN_PRUNING)
def test_baselines_of_column_pruning(
    name: str, arguments: str, parameters: int, plain: int, exact: str, millions: str, giga: str
):
    found = summary(name, arguments)
    assert trained(network(name, arguments)) == parameters
    assert multiplying(found) == plain
    assert decimals(found.macs / 1e9, exact)
    assert decimals(parameters / 1e6, millions)
    assert decimals(found.macs / 1e9, giga)


def test_what_the_printed_counts_leave_out():
    """The two countings behind Table 6.3 (L1448-1458): with the statistics of norms, and without norms at all."""
    assert decimals(summary("resnet50").parameters / 1e6, "25.61")
    for arguments, printed in (("", "10.80"), ("third = 48", "23.66")):
        assert decimals(multiplying(summary("densenet_c", arguments)) / 1e6, printed)


DESIGN_SPACE = [
    # network, arguments, M parameters without norms, G MACs, M outputs of convolutions, MACs per parameter and output
    ("resnet18", "", "11.68", "1.814", "2.48", "128"),
    ("resnet34", "", "21.78", "3.664", "3.74", "144"),
    ("resnet50", "", "25.50", "4.089", "11.11", "112"),
    ("resnet101", "", "44.44", "7.801", "16.23", "129"),
    ("resnet152", "", "60.04", "11.514", "22.55", "139"),
    ("resnext", "", "24.96", "4.230", "14.40", "107"),
    ("densenet121", "", "7.90", "2.834", "6.90", "192"),
    ("densenet_bc", "third = 32, fourth = 32", "13.99", "3.360", "7.30", "158"),
    pytest.param("densenet_bc", "third = 64, fourth = 48", "32.94", "5.752", "8.53", "139", marks=pytest.mark.slow),
    ("mobilenet_v1", "", "4.21", "0.569", "5.04", "61"),
    ("mobilenet_v2", "", "3.47", "0.301", "6.68", "30"),
    ("narrow_resnet", "size = 1", "3.07", "0.600", "5.64", "69"),
    ("narrow_resnet", "size = 64", "5.21", "1.382", "5.64", "127"),
]
"""The networks of Heidelberg, section 7.6.2 (L1710-1748), counted as design spaces are (Radosavovic et al., CVPR 2020):
its figures show them only as points."""


@pytest.mark.parametrize(("name", "arguments", "parameters", "macs", "outputs", "intensity"), DESIGN_SPACE)
def test_networks_of_the_architecture_search(
    name: str, arguments: str, parameters: str, macs: str, outputs: str, intensity: str
):
    found = summary(name, arguments)
    plain, written = multiplying(found), convolution_outputs(found)
    assert decimals(plain / 1e6, parameters)
    assert decimals(found.macs / 1e9, macs)
    assert decimals(written / 1e6, outputs)
    assert decimals(found.macs / (plain + written), intensity)
