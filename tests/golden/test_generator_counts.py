"""What slice generators and compared compressors leave of a network: exactly the counts of the UCSD thesis, chapter 5.

Networks of the library go through the passes; those it does not have are lists of shapes, made here from their papers.
Rows that the thesis trained are counts only: no accuracy of it is claimed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod

import pytest
from xdsl.dialects.builtin import ModuleOp
from xdsl.passes import ModulePass

from hapir.context import HapirContext
from hapir.dialects.nn import NetworkOp, WeightOp
from hapir.dialects.num import element_type, shape_of, unsigned
from hapir.factorizations import bsg, csg, separable
from hapir.factorizations.slices import slice_count
from hapir.factorizations.stages import Maps, cost_of
from hapir.lowering.compress.structure.bsg import BsgPass
from hapir.lowering.compress.structure.csg import CsgPass
from hapir.lowering.compress.structure.separable import SeparablePass
from hapir.lowering.network_edits import networks_of
from hapir.random_weights import RandomWeights
from tests.golden.test_network_counts import library, trained

Filters = tuple[int, int, int, int]
WIDE, NARROW, POINT = (16, 16, 3, 3), (12, 12, 3, 3), (16, 16, 1, 1)


@dataclass(frozen=True)
class Shapes:
    """A network as a list: the filters that may be compressed, the 1 x 1 of its bottlenecks, and all else as a sum."""

    filters: tuple[Filters, ...]
    points: tuple[Filters, ...]
    rest: int

    @property
    def total(self) -> int:
        """All trainable parameters."""
        return sum(map(prod, (*self.filters, *self.points))) + self.rest

    def others(self) -> int:
        """All but the filters."""
        return self.total - sum(map(prod, self.filters))

    def slices(self, slice_shape: Filters) -> int:
        """The slices of the filters."""
        return sum(slice_count(filters, slice_shape) for filters in self.filters)

    def csg(self, slice_shape: Filters, code: int, *, own_matrix: bool = True) -> int:
        """Parameters of the network with generated filters."""
        return csg.parameter_count(self.others(), self.slices(slice_shape), slice_shape, code, own_matrix=own_matrix)


def densenet_bc(growth: int, depth: int = 40) -> Shapes:
    """DenseNet-BC for CIFAR: bottlenecks of 4 x growth, half the maps after each of two blocks (Huang et al. 2017)."""
    channels = 2 * growth
    rest = 3 * channels * 9
    filters: list[Filters] = []
    points: list[Filters] = []
    for block in range(3):
        for _ in range((depth - 4) // 6):
            points.append((4 * growth, channels, 1, 1))
            filters.append((growth, 4 * growth, 3, 3))
            rest += 2 * channels + 2 * 4 * growth
            channels += growth
        if block < 2:
            rest += 2 * channels + channels // 2 * channels
            channels //= 2
    return Shapes(tuple(filters), tuple(points), rest + 2 * channels + channels * 10 + 10)


def mobilenet_v2_cifar() -> Shapes:
    """MobileNetV2 as CIFAR is trained with (kuangliu/pytorch-cifar); its filters are the first 1 x 1 of each block."""
    settings = (
        (1, 16, 1, 1),
        (6, 24, 2, 1),
        (6, 32, 3, 2),
        (6, 64, 4, 2),
        (6, 96, 3, 1),
        (6, 160, 3, 2),
        (6, 320, 1, 1),
    )
    channels, rest, filters = 32, 3 * 32 * 9 + 2 * 32, list[Filters]()
    for expansion, outputs, blocks, first_stride in settings:
        for stride in [first_stride] + [1] * (blocks - 1):
            inner = expansion * channels
            filters.append((inner, channels, 1, 1))
            rest += 2 * inner + 9 * inner + 2 * inner + inner * outputs + 2 * outputs
            if stride == 1 and channels != outputs:
                rest += channels * outputs + 2 * outputs
            channels = outputs
    return Shapes(tuple(filters), (), rest + 320 * 1280 + 2 * 1280 + 1280 * 10 + 10)


def compressed(name: str, step: ModulePass) -> NetworkOp:
    """A network of the library with random weights, after a pass."""
    module, context = ModuleOp([library(name).clone()]), HapirContext()
    for op in module.walk():
        if isinstance(op, WeightOp):
            context.weights.put(op.key.data, RandomWeights().array(op.key.data, shape_of(op.result)))
    step.apply(context, module)
    module.verify()
    return networks_of(module)[0]


DENSENET_48, DENSENET_36, MOBILENET = densenet_bc(48), densenet_bc(36), mobilenet_v2_cifar()


def test_densenets():
    """UCSD thesis, table 5.1, L2069-2084."""
    assert DENSENET_48.total == 2_733_130
    assert DENSENET_48.slices(NARROW) == 1152
    assert DENSENET_48.csg(NARROW, 72) == 1_416_394
    assert DENSENET_48.csg(NARROW, 72, own_matrix=False) == 1_323_082
    both = replace(DENSENET_48, filters=DENSENET_48.filters + DENSENET_48.points, points=())
    assert both.csg(NARROW, 72) == 904_906  # a 1 x 1 kernel is a cropped slice of the same matrix
    assert DENSENET_36.total == 1_542_682
    assert DENSENET_36.csg(NARROW, 72) == 842_842
    assert DENSENET_36.csg(NARROW, 72, own_matrix=False) == 749_530
    ratios = [DENSENET_48.total / n for n in (1_416_394, 1_323_082, 904_906)]
    assert [f"{ratio:.2f}" for ratio in ratios] == ["1.93", "2.07", "3.02"]  # the thesis cuts: 1.92, 2.06


def test_mobilenet_v2():
    """UCSD thesis, table 5.1: the first 1 x 1 of all 17 blocks."""
    assert len(MOBILENET.filters) == 17
    assert MOBILENET.total == 2_296_922
    assert MOBILENET.slices(POINT) == 2950
    assert MOBILENET.csg(POINT, 16) == 1_595_322


def test_shufflenet():
    """UCSD thesis, table 5.1: the last convolution, 192 to 1024 channels; the total is the thesis's own."""
    last = (1024, 192, 1, 1)
    assert csg.parameter_count(352_042 - prod(last), slice_count(last, POINT), POINT, 16) == 171_818


@pytest.mark.parametrize(
    ("slice_shape", "code", "slices", "parameters"), [(WIDE, 128, 368, 347_162), (NARROW, 72, 861, 160_450)]
)
def test_csg_of_resnet56(slice_shape: Filters, code: int, slices: int, parameters: int):
    """UCSD thesis, table 5.1."""
    network = compressed("resnet56", CsgPass(slice=slice_shape, code=code))
    codes = [shape_of(op.result) for op in parameters_of(network) if op.key.data.endswith(".codes")]
    assert sum(rows for rows, _ in codes) == slices
    assert trained(network) == parameters


def parameters_of(network: NetworkOp) -> list[WeightOp]:
    """The parameters of a network."""
    return [op for op in network.body.block.ops if isinstance(op, WeightOp)]


def test_resnet56_with_the_matrix_of_resnet20():
    """UCSD thesis, table 5.1: 52 250 without the matrix, a ratio of 16.3."""
    assert trained(library("resnet56")) == 853_018
    assert 347_162 - prod(WIDE) * 128 == 52_250
    assert f"{853_018 / 52_250:.1f}" == "16.3"


@pytest.mark.parametrize(
    ("name", "slices", "parameters"), [("resnet50", 4912, 15_163_432), ("resnet101", 9264, 24_685_608)]
)
def test_csg_of_imagenet(name: str, slices: int, parameters: int):
    """UCSD thesis, table 5.2, L2129-2132: the 3 x 3 convolutions. The thesis takes 44 654 504 for ResNet-101, which
    counts statistics of batch norm too; the row comes from the 44 549 160 parameters."""
    banks = [shape_of(op.result) for op in parameters_of(library(name))]
    spatial = [bank for bank in banks if bank[2:] == (3, 3)]
    assert sum(slice_count(bank, WIDE) for bank in spatial) == slices
    others = trained(library(name)) - sum(map(prod, spatial))
    assert csg.parameter_count(others, slices, WIDE, 128) == parameters


@pytest.mark.slow
def test_csg_of_resnet50_through_the_pass():
    """The pass on 25.6 M weights; 3 x 3 layers are selected, as 1 x 1 ones would waste their slices."""
    network = compressed("resnet50", CsgPass(layers="*.conv2", code=128))
    assert trained(network) == 15_163_432


def test_deeplab():
    """UCSD thesis, table 5.3, L2157-2162, from its own totals: the backbone, and three 3 x 3 from 2048 to 256."""
    pyramid = (256, 2048, 3, 3)
    slices = 3 * slice_count(pyramid, WIDE)
    assert slices == 6144
    for total, plain, compressed_backbone, with_backbone, with_both in (
        (40_352_181, 25_557_032, 15_163_432, 29_958_581, 16_884_149),
        (59_344_309, 44_549_160, 24_685_608, 39_480_757, 26_406_325),
    ):
        assert total - plain + compressed_backbone == with_backbone
        assert csg.parameter_count(with_backbone - 3 * prod(pyramid), slices, WIDE, 128) == with_both


def test_separable_compressors():
    """UCSD thesis, table 5.4, L2170-2182: depthwise separable forms; DenseNet's carry biases."""
    network = compressed("resnet56", SeparablePass(layers="layer*"))
    assert trained(network) == 117_066
    chains = [separable.chain_shape(filters, 1) for filters in DENSENET_48.filters]
    biases = sum(stage.filters[0] for chain in chains for stage in chain)
    assert DENSENET_48.others() + sum(cost_of(chain, Maps()).parameters for chain in chains) + biases == 1_441_450


def test_concatenated_rectifiers():
    """UCSD thesis, table 5.4: half the filters and batch norms of ResNet-56 but for the first layer's."""
    banks = [shape_of(op.result) for op in parameters_of(library("resnet56")) if len(shape_of(op.result)) == 4]
    norms = 2 * sum(bank[0] for bank in banks[1:])
    assert 853_018 - sum(map(prod, banks[1:])) // 2 - norms // 2 == 427_066


@pytest.mark.parametrize(
    ("code", "training", "words", "ratio"),
    [
        (256, 99_354, 11_050, "77.20"),
        (512, 193_562, 16_954, "50.31"),
        (1024, 381_978, 28_762, "29.66"),
        (2048, 758_810, 52_378, "16.29"),
    ],
)
def test_bsg_of_resnet56(code: int, training: int, words: int, ratio: str):
    """UCSD thesis, table 5.5, L2206-2210: its KB are thousands of parameters, and of 16-bit words."""
    assert bsg.inference_words(5_146, 368, code) == words
    assert bsg.training_parameters(5_146, 368, code) == training
    assert f"{853_018 / words:.2f}" == ratio


def test_the_stream_of_generated_weights():
    """UCSD thesis, chapter 5: slices per stage of ResNet-56, and the weights that one generator makes of them."""
    banks = {op.key.data: shape_of(op.result) for op in parameters_of(library("resnet56"))}
    slices = [
        sum(slice_count(bank, WIDE) for key, bank in banks.items() if key.startswith(stage) and len(bank) == 4)
        for stage in ("layer1.", "layer2.", "layer3.")
    ]
    assert slices == [18, 70, 280]
    assert [count * prod(WIDE) for count in slices] == [41_472, 161_280, 645_120]


def test_bsg_through_the_pass():
    network = compressed("resnet56", BsgPass(256, iterations=0))
    coded = [op for op in parameters_of(network) if element_type(op.result) == unsigned(16)]
    assert sum(prod(shape_of(op.result)) for op in coded) == (368 + 1) * 256 // 16
    assert trained(network) == 11_050


@pytest.mark.parametrize(
    ("code", "training", "inference", "ratio"),
    [(64, "1.733", "1.556", "1.476"), (128, "1.922", "1.568", "1.465"), (256, "2.299", "1.591", "1.443")],
)
def test_bsg_of_mobilenet_v2(code: int, training: str, inference: str, ratio: str):
    """UCSD thesis, table 5.7, L2233-2237: its columns `n_c = 32, 64, 128` are codes of twice that length."""
    others, slices = MOBILENET.others(), MOBILENET.slices(POINT)
    words = bsg.inference_words(others, slices, code)
    assert f"{bsg.training_parameters(others, slices, code) / 1e6:.3f}" == training
    assert f"{words / 1e6:.3f}" == inference
    assert f"{MOBILENET.total / words:.3f}" == ratio
