"""The networks of the library counted by hand: per stage, from the sizes in the papers, with nothing of hapir.

A count holds the trainable parameters (batch norm: gamma and beta, not its statistics) and the multiply-accumulates
of one image. The key of a stage is a glob over layer names, and each layer with parameters belongs to one stage.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Count:
    """Trainable parameters and multiply-accumulates."""

    parameters: int
    macs: int

    def __add__(self, other: Count) -> Count:
        return Count(self.parameters + other.parameters, self.macs + other.macs)

    def __rmul__(self, times: int) -> Count:
        return Count(times * self.parameters, times * self.macs)


NOTHING = Count(0, 0)
Table = dict[str, Count]


def conv(c: int, k: int, kernel: int, size: int, *, groups: int = 1, bias: bool = True) -> Count:
    """A square convolution from c to k channels that gives `size` x `size` places."""
    weights = k * (c // groups) * kernel**2
    return Count(weights + bias * k, weights * size**2)


def norm(channels: int) -> Count:
    """A batch norm."""
    return Count(2 * channels, 0)


def conv_norm(c: int, k: int, kernel: int, size: int, *, groups: int = 1) -> Count:
    """A convolution without bias and the batch norm behind it."""
    return conv(c, k, kernel, size, groups=groups, bias=False) + norm(k)


def dense(c: int, k: int) -> Count:
    """A fully connected layer."""
    return Count(c * k + k, c * k)


def total(table: Table) -> Count:
    """The sum of a table."""
    return sum(table.values(), NOTHING)


# --- without blocks ---------------------------------------------------------------------------------------------------

LENET_300_100: Table = {"fc1": dense(784, 300), "fc2": dense(300, 100), "fc3": dense(100, 10)}
LENET5: Table = {
    "conv1": conv(1, 20, 5, 24),
    "conv2": conv(20, 50, 5, 8),
    "fc1": dense(50 * 4 * 4, 500),
    "fc2": dense(500, 10),
}
LENET5_1998: Table = {
    "conv1": conv(1, 6, 5, 28),
    "conv2": conv(6, 16, 5, 10),
    "fc1": dense(16 * 5 * 5, 120),
    "fc2": dense(120, 84),
    "fc3": dense(84, 10),
}
ALEXNET: Table = {
    "conv1": Count(96 * 3 * 121 + 96, 105_415_200),
    "conv2": Count(256 * 48 * 25 + 256, 223_948_800),
    "conv3": Count(384 * 256 * 9 + 384, 149_520_384),
    "conv4": Count(384 * 192 * 9 + 384, 112_140_288),
    "conv5": Count(256 * 192 * 9 + 256, 74_760_192),
    "fc6": dense(256 * 6 * 6, 4096),
    "fc7": dense(4096, 4096),
    "fc8": dense(4096, 1000),
}
ALEXNET_ONE_TOWER: Table = {
    "conv1": conv(3, 64, 11, 55),
    "conv2": conv(64, 192, 5, 27),
    "conv3": conv(192, 384, 3, 13),
    "conv4": conv(384, 256, 3, 13),
    "conv5": conv(256, 256, 3, 13),
    "fc6": dense(256 * 6 * 6, 4096),
    "fc7": dense(4096, 4096),
    "fc8": dense(4096, 1000),
}
VGG16: Table = {
    "stage1.*": Count(1_728 + 36_864 + 128, 86_704_128 + 1_849_688_064),
    "stage2.*": Count(73_728 + 147_456 + 256, 924_844_032 + 1_849_688_064),
    "stage3.*": Count(294_912 + 2 * 589_824 + 768, 924_844_032 + 2 * 1_849_688_064),
    "stage4.*": Count(1_179_648 + 2 * 2_359_296 + 1_536, 924_844_032 + 2 * 1_849_688_064),
    "stage5.*": Count(3 * 2_359_296 + 1_536, 3 * 462_422_016),
    "fc6": Count(102_760_448 + 4_096, 102_760_448),
    "fc7": Count(16_777_216 + 4_096, 16_777_216),
    "fc8": Count(4_096_000 + 1_000, 4_096_000),
}
VGG16_CIFAR: Table = {
    "stage1.*": conv(3, 64, 3, 32) + conv(64, 64, 3, 32) + 2 * norm(64),
    "stage2.*": conv(64, 128, 3, 16) + conv(128, 128, 3, 16) + 2 * norm(128),
    "stage3.*": conv(128, 256, 3, 8) + 2 * conv(256, 256, 3, 8) + 3 * norm(256),
    "stage4.*": conv(256, 512, 3, 4) + 2 * conv(512, 512, 3, 4) + 3 * norm(512),
    "stage5.*": 3 * conv(512, 512, 3, 2) + 3 * norm(512),
    "fc": dense(512, 10),
}
TINY_YOLO_V2: Table = {
    "conv1.*": Count(16 * 27 + 2 * 16, 74_760_192),
    "conv2.*": Count(32 * 144 + 2 * 32, 199_360_512),
    "conv3.*": Count(64 * 288 + 2 * 64, 199_360_512),
    "conv4.*": Count(128 * 576 + 2 * 128, 199_360_512),
    "conv5.*": Count(256 * 1152 + 2 * 256, 199_360_512),
    "conv6.*": Count(512 * 2304 + 2 * 512, 199_360_512),
    "conv7.*": Count(1024 * 4608 + 2 * 1024, 797_442_048),
    "conv8.*": Count(1024 * 9216 + 2 * 1024, 1_594_884_096),
    "conv9": Count(125 * 1024 + 125, 21_632_000),
}


# --- residual networks ------------------------------------------------------------------------------------------------


def _basic(c: int, k: int, blocks: int, size: int, *, projected: bool) -> Count:
    """A stage of basic blocks: 2 convolutions each, and one of 1 x 1 where the shortcut is projected."""
    first = conv_norm(c, k, 3, size) + conv_norm(k, k, 3, size)
    return first + (blocks - 1) * (2 * conv_norm(k, k, 3, size)) + projected * conv_norm(c, k, 1, size)


def _bottleneck(c: int, k: int, blocks: int, before: int, size: int) -> Count:
    """A stage of bottlenecks: the first reads a map of `before` x `before` and projects its shortcut."""
    first = conv_norm(c, k, 1, before) + conv_norm(k, k, 3, size) + conv_norm(k, 4 * k, 1, size)
    other = conv_norm(4 * k, k, 1, size) + conv_norm(k, k, 3, size) + conv_norm(k, 4 * k, 1, size)
    return first + (blocks - 1) * other + conv_norm(c, 4 * k, 1, size)


def _resnet_basic(*blocks: int) -> Table:
    one, two, three, four = blocks
    return {
        "[cb][on]*1": conv_norm(3, 64, 7, 112),
        "layer1.*": _basic(64, 64, one, 56, projected=False),
        "layer2.*": _basic(64, 128, two, 28, projected=True),
        "layer3.*": _basic(128, 256, three, 14, projected=True),
        "layer4.*": _basic(256, 512, four, 7, projected=True),
        "fc": dense(512, 1000),
    }


def _resnet_bottleneck(*blocks: int) -> Table:
    one, two, three, four = blocks
    return {
        "[cb][on]*1": conv_norm(3, 64, 7, 112),
        "layer1.*": _bottleneck(64, 64, one, 56, 56),
        "layer2.*": _bottleneck(256, 128, two, 56, 28),
        "layer3.*": _bottleneck(512, 256, three, 28, 14),
        "layer4.*": _bottleneck(1024, 512, four, 14, 7),
        "fc": dense(2048, 1000),
    }


def _resnet_cifar(depth: int, *, projected: bool = False) -> Table:
    blocks = (depth - 2) // 6
    return {
        "[cb][on]*1": conv_norm(3, 16, 3, 32),
        "layer1.*": _basic(16, 16, blocks, 32, projected=False),
        "layer2.*": _basic(16, 32, blocks, 16, projected=projected),
        "layer3.*": _basic(32, 64, blocks, 8, projected=projected),
        "fc": dense(64, 10),
    }


# --- separable convolutions -------------------------------------------------------------------------------------------


def _separable(c: int, k: int, size: int) -> Count:
    return conv_norm(c, c, 3, size, groups=c) + conv_norm(c, k, 1, size)


MOBILENET_V1: Table = {
    "stem.*": conv_norm(3, 32, 3, 112),
    "block1.*": _separable(32, 64, 112),
    "block2.*": _separable(64, 128, 56),
    "block3.*": _separable(128, 128, 56),
    "block4.*": _separable(128, 256, 28),
    "block5.*": _separable(256, 256, 28),
    "block6.*": _separable(256, 512, 14),
    "block[7-9].*": 3 * _separable(512, 512, 14),
    "block1[01].*": 2 * _separable(512, 512, 14),
    "block12.*": _separable(512, 1024, 7),
    "block13.*": _separable(1024, 1024, 7),
    "fc": dense(1024, 1000),
}


def _inverted(c: int, k: int, before: int, size: int) -> Count:
    """An inverted residual that widens 6 times: on a map of `before`, then of `size`."""
    inner = 6 * c
    depthwise = conv_norm(inner, inner, 3, size, groups=inner)
    return conv_norm(c, inner, 1, before) + depthwise + conv_norm(inner, k, 1, size)


def _inverted_stage(c: int, k: int, blocks: int, before: int, size: int) -> Count:
    return _inverted(c, k, before, size) + (blocks - 1) * _inverted(k, k, size, size)


MOBILENET_V2: Table = {
    "stem.*": conv_norm(3, 32, 3, 112),
    "stage1.*": conv_norm(32, 32, 3, 112, groups=32) + conv_norm(32, 16, 1, 112),
    "stage2.*": _inverted_stage(16, 24, 2, 112, 56),
    "stage3.*": _inverted_stage(24, 32, 3, 56, 28),
    "stage4.*": _inverted_stage(32, 64, 4, 28, 14),
    "stage5.*": _inverted_stage(64, 96, 3, 14, 14),
    "stage6.*": _inverted_stage(96, 160, 3, 14, 7),
    "stage7.*": _inverted_stage(160, 320, 1, 7, 7),
    "head.*": conv_norm(320, 1280, 1, 7),
    "fc": dense(1280, 1000),
}


# --- densely connected networks ---------------------------------------------------------------------------------------


def _norm_conv(c: int, k: int, kernel: int, size: int) -> Count:
    """A batch norm and the convolution behind it."""
    return norm(c) + conv(c, k, kernel, size, bias=False)


def _dense_block(c: int, layers: int, growth: int, size: int) -> Count:
    return sum((_norm_conv(c + i * growth, growth, 3, size) for i in range(layers)), NOTHING)


def _bottleneck_block(c: int, layers: int, growth: int, size: int) -> Count:
    squeezes = (_norm_conv(c + i * growth, 4 * growth, 1, size) for i in range(layers))
    return sum(squeezes, NOTHING) + layers * _norm_conv(4 * growth, growth, 3, size)


DENSENET40: Table = {
    "conv0": conv(3, 16, 3, 32, bias=False),
    "denseblock1.*": _dense_block(16, 12, 12, 32),
    "transition1.*": _norm_conv(160, 160, 1, 32),
    "denseblock2.*": _dense_block(160, 12, 12, 16),
    "transition2.*": _norm_conv(304, 304, 1, 16),
    "denseblock3.*": _dense_block(304, 12, 12, 8),
    "bn": norm(448),
    "classifier": dense(448, 10),
}
DENSENET121: Table = {
    "[cb][on]*0": conv_norm(3, 64, 7, 112),
    "denseblock1.*": _bottleneck_block(64, 6, 32, 56),
    "transition1.*": _norm_conv(256, 128, 1, 56),
    "denseblock2.*": _bottleneck_block(128, 12, 32, 28),
    "transition2.*": _norm_conv(512, 256, 1, 28),
    "denseblock3.*": _bottleneck_block(256, 24, 32, 14),
    "transition3.*": _norm_conv(1024, 512, 1, 14),
    "denseblock4.*": _bottleneck_block(512, 16, 32, 7),
    "bn5": norm(1024),
    "classifier": dense(1024, 1000),
}


# --- branches ---------------------------------------------------------------------------------------------------------


def _fire(c: int, squeeze: int, expand: int, size: int) -> Count:
    return conv(c, squeeze, 1, size) + conv(squeeze, expand, 1, size) + conv(squeeze, expand, 3, size)


SQUEEZENET_1_0: Table = {
    "conv1": conv(3, 96, 7, 109),
    "fire2.*": _fire(96, 16, 64, 54),
    "fire3.*": _fire(128, 16, 64, 54),
    "fire4.*": _fire(128, 32, 128, 54),
    "fire5.*": _fire(256, 32, 128, 27),
    "fire6.*": _fire(256, 48, 192, 27),
    "fire7.*": _fire(384, 48, 192, 27),
    "fire8.*": _fire(384, 64, 256, 27),
    "fire9.*": _fire(512, 64, 256, 13),
    "conv10": conv(512, 1000, 1, 13),
}
SQUEEZENET_1_1: Table = {
    "conv1": conv(3, 64, 3, 111),
    "fire2.*": _fire(64, 16, 64, 55),
    "fire3.*": _fire(128, 16, 64, 55),
    "fire4.*": _fire(128, 32, 128, 27),
    "fire5.*": _fire(256, 32, 128, 27),
    "fire6.*": _fire(256, 48, 192, 13),
    "fire7.*": _fire(384, 48, 192, 13),
    "fire8.*": _fire(384, 64, 256, 13),
    "fire9.*": _fire(512, 64, 256, 13),
    "conv10": conv(512, 1000, 1, 13),
}
INCEPTIONS = {
    # inputs, 1 x 1, 3 x 3 reduced, 3 x 3, 5 x 5 reduced, 5 x 5, pooled; size of the map (table 1 of the paper)
    "3a": (192, 64, 96, 128, 16, 32, 32, 28),
    "3b": (256, 128, 128, 192, 32, 96, 64, 28),
    "4a": (480, 192, 96, 208, 16, 48, 64, 14),
    "4b": (512, 160, 112, 224, 24, 64, 64, 14),
    "4c": (512, 128, 128, 256, 24, 64, 64, 14),
    "4d": (512, 112, 144, 288, 32, 64, 64, 14),
    "4e": (528, 256, 160, 320, 32, 128, 128, 14),
    "5a": (832, 256, 160, 320, 32, 128, 128, 7),
    "5b": (832, 384, 192, 384, 48, 128, 128, 7),
}


def _inceptions(unit: Callable[[int, int, int, int], Count], window: int) -> Table:
    """The nine modules; `unit` counts a convolution, `window` is the kernel of what the paper calls 5 x 5."""
    found: Table = {}
    for name, (c, one, three_reduced, three, five_reduced, five, pooled, size) in INCEPTIONS.items():
        found[f"inception{name}.*"] = (
            unit(c, one, 1, size)
            + unit(c, three_reduced, 1, size)
            + unit(three_reduced, three, 3, size)
            + unit(c, five_reduced, 1, size)
            + unit(five_reduced, five, window, size)
            + unit(c, pooled, 1, size)
        )
    return found


GOOGLENET: Table = {
    "conv1": conv(3, 64, 7, 112),
    "conv2_reduce": conv(64, 64, 1, 56),
    "conv2": conv(64, 192, 3, 56),
    **_inceptions(conv, 5),
    "fc": dense(1024, 1000),
}
GOOGLENET_BN: Table = {
    "conv1.*": conv_norm(3, 64, 7, 112),
    "conv2.*": conv_norm(64, 64, 1, 56),
    "conv3.*": conv_norm(64, 192, 3, 56),
    **_inceptions(conv_norm, 3),
    "fc": dense(1024, 1000),
}


# --- recurrent networks -----------------------------------------------------------------------------------------------


def _lstm(inputs: int, units: int, steps: int) -> Count:
    """Both directions: four gates with input and hidden weights, and two biases each."""
    weights = 4 * units * (inputs + units)
    return 2 * Count(weights + 2 * 4 * units, steps * weights)


LSTM_TIMIT: Table = {
    "layer1.*": _lstm(123, 250, 100),
    "layer2.*": _lstm(500, 250, 100),
    "layer3.*": _lstm(500, 250, 100),
    "fc": Count(500 * 62 + 62, 100 * 500 * 62),
}

TABLES: dict[str, Table] = {
    "alexnet": ALEXNET,
    "alexnet_one_tower": ALEXNET_ONE_TOWER,
    "densenet121": DENSENET121,
    "densenet40": DENSENET40,
    "googlenet": GOOGLENET,
    "googlenet_bn": GOOGLENET_BN,
    "lenet5": LENET5,
    "lenet5_1998": LENET5_1998,
    "lenet_300_100": LENET_300_100,
    "lstm_timit": LSTM_TIMIT,
    "mobilenet_v1": MOBILENET_V1,
    "mobilenet_v2": MOBILENET_V2,
    "resnet18": _resnet_basic(2, 2, 2, 2),
    "resnet34": _resnet_basic(3, 4, 6, 3),
    "resnet50": _resnet_bottleneck(3, 4, 6, 3),
    "resnet101": _resnet_bottleneck(3, 4, 23, 3),
    "resnet152": _resnet_bottleneck(3, 8, 36, 3),
    **{f"resnet{depth}": _resnet_cifar(depth) for depth in (20, 32, 44, 56, 110)},
    "resnet20_projected": _resnet_cifar(20, projected=True),
    "squeezenet_1_0": SQUEEZENET_1_0,
    "squeezenet_1_1": SQUEEZENET_1_1,
    "tiny_yolo_v2": TINY_YOLO_V2,
    "vgg16": VGG16,
    "vgg16_cifar": VGG16_CIFAR,
}
