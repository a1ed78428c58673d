"""Networks that the theses count and the library has not, in the language, and the ways in which the theses count.

Each text is a network `n`.
"""

from __future__ import annotations

from functools import cache
from math import prod

from hapir.dialects.nn import NetworkOp
from hapir.dialects.num import shape_of
from hapir.lowering.compress.weight_slots import weight_slots
from hapir.report.summary import NetworkSummary, summarize
from tests.golden.test_network_counts import build, library

SVHN = """
network n(image: f32[1, 3, 40, 40]) -> f32[1, 10] {
    conv0 = conv2d(image, channels = 48, kernel = 5)
    pool0 = max_pool(relu(conv0), kernel = 2)
    conv1 = conv2d(pool0, channels = 64, kernel = 3, padding = 1, bias = false)
    conv2 = conv2d(relu(conv1), channels = 64, kernel = 3, padding = 1, bias = false)
    pool2 = max_pool(relu(conv2), kernel = 2)
    conv3 = conv2d(pool2, channels = 128, kernel = 3, bias = false)
    conv4 = conv2d(relu(conv3), channels = 128, kernel = 3, padding = 1, bias = false)
    conv5 = conv2d(relu(conv4), channels = 128, kernel = 3, bias = false)
    conv6 = conv2d(relu(conv5), channels = 512, kernel = 5, bias = false)
    fc = dense(flatten(relu(conv6)), units = 10)
    return fc
}
"""
"""The SVHN network of DoReFa-Net (Zhou et al., 2016) as tensorpack trains it."""

MLP = """
network n(image: f32[1, 784], width = 4096) -> f32[1, 10] {
    fc1 = dense(image, units = width, bias = false)
    fc2 = dense(relu(fc1), units = width, bias = false)
    fc3 = dense(relu(fc2), units = width, bias = false)
    fc4 = dense(relu(fc3), units = 10, bias = false)
    return fc4
}
"""

BINARY_VGG = """
network n(image: f32[1, 3, 32, 32]) -> f32[1, 10] {
    conv1 = conv2d(image, channels = 128, kernel = 3, padding = 1)
    conv2 = conv2d(conv1, channels = 128, kernel = 3, padding = 1)
    conv3 = conv2d(max_pool(conv2, kernel = 2), channels = 256, kernel = 3, padding = 1)
    conv4 = conv2d(conv3, channels = 256, kernel = 3, padding = 1)
    conv5 = conv2d(max_pool(conv4, kernel = 2), channels = 512, kernel = 3, padding = 1)
    conv6 = conv2d(conv5, channels = 512, kernel = 3, padding = 1)
    fc1 = dense(flatten(max_pool(conv6, kernel = 2)), units = 1024)
    fc2 = dense(fc1, units = 1024)
    fc3 = dense(fc2, units = 10)
    return fc3
}
"""
"""The network of BinaryConnect for CIFAR-10 (Courbariaux et al., NIPS 2015)."""

DOREFA_ALEXNET = """
network n(image: f32[1, 3, 224, 224]) -> f32[1, 1000] {
    conv1 = conv2d(image, channels = 96, kernel = 12, stride = 4, bias = false)
    conv2 = conv2d(relu(conv1), channels = 256, kernel = 5, padding = 2, groups = 2, bias = false)
    pool2 = max_pool(relu(conv2), kernel = 3, stride = 2, padding = 1)
    conv3 = conv2d(pool2, channels = 384, kernel = 3, padding = 1, bias = false)
    pool3 = max_pool(relu(conv3), kernel = 3, stride = 2, padding = 1)
    conv4 = conv2d(pool3, channels = 384, kernel = 3, padding = 1, groups = 2, bias = false)
    conv5 = conv2d(relu(conv4), channels = 256, kernel = 3, padding = 1, groups = 2, bias = false)
    pool5 = max_pool(relu(conv5), kernel = 3, stride = 2)
    fc1 = dense(flatten(pool5), units = 4096, bias = false)
    fc2 = dense(relu(fc1), units = 4096, bias = false)
    fc3 = dense(relu(fc2), units = 1000, bias = false)
    return fc3
}
"""
"""AlexNet as DoReFa-Net trains it; pools come behind the convolutions that they follow."""

RESNET_CIFAR = """
import "networks/resnet_blocks.hap"
import "networks/resnet_cifar_blocks.hap"
network n(image: f32[1, 3, 32, 32], blocks = 45) -> f32[1, 10] {
    conv1 = conv2d(image, channels = 16, kernel = 3, padding = 1, bias = false)
    layer1 = resnet_basic_stage(relu(batch_norm(conv1)), channels = 16, blocks = blocks)
    layer2 = resnet_cifar_down_stage(layer1, channels = 32, blocks = blocks)
    layer3 = resnet_cifar_down_stage(layer2, channels = 64, blocks = blocks)
    fc = dense(flatten(global_avg_pool(layer3)), units = 10)
    return fc
}
"""
"""ResNet of 6 * blocks + 2 layers (He et al., CVPR 2016, section 4.2)."""


def densenet(block: str) -> str:
    """A DenseNet for ImageNet with compression, of the basic layers or the bottlenecks of the library."""
    return f"""
import "networks/densenet_blocks.hap"
network n(image: f32[1, 3, 224, 224], third = 24, fourth = 16) -> f32[1, 1000] {{
    conv0 = conv2d(image, channels = 64, kernel = 7, stride = 2, padding = 3, bias = false)
    pool0 = max_pool(relu(batch_norm(conv0)), kernel = 3, stride = 2, padding = 1)
    denseblock1 = {block}(pool0, layers = 6, growth = 32)
    transition1 = densenet_transition(denseblock1, compression = 0.5)
    denseblock2 = {block}(transition1, layers = 12, growth = 32)
    transition2 = densenet_transition(denseblock2, compression = 0.5)
    denseblock3 = {block}(transition2, layers = third, growth = 32)
    transition3 = densenet_transition(denseblock3, compression = 0.5)
    denseblock4 = {block}(transition3, layers = fourth, growth = 32)
    return dense(flatten(global_avg_pool(relu(batch_norm(denseblock4)))), units = 1000)
}}
"""


DENSENET_C, DENSENET_BC = densenet("densenet_block"), densenet("densenet_bottleneck_block")

RESNEXT = """
block bottleneck(x, inner, channels, groups, first, stride, shortcut) {
    conv1 = conv2d(x, channels = inner, kernel = 1, stride = first, bias = false)
    bn1 = batch_norm(conv1)
    conv2 = conv2d(relu(bn1), channels = inner, kernel = 3, stride = stride, padding = 1, groups = groups, bias = false)
    bn2 = batch_norm(conv2)
    conv3 = conv2d(relu(bn2), channels = channels, kernel = 1, bias = false)
    return relu(add(batch_norm(conv3), shortcut))
}
block stage(x, inner, channels, groups, blocks, first, stride) {
    conv = conv2d(x, channels = channels, kernel = 1, stride = first * stride, bias = false)
    block[1] = bottleneck(
        x, inner = inner, channels = channels, groups = groups, first = first, stride = stride
        shortcut = batch_norm(conv)
    )
    repeat i in range(2, blocks) {
        block = bottleneck(
            block[i - 1], inner = inner, channels = channels, groups = groups, first = 1, stride = 1
            shortcut = block[i - 1]
        )
    }
    return block[blocks]
}
network n(image: f32[1, 3, 224, 224], width = 128, groups = 32, third = 6, first = 1) -> f32[1, 1000] {
    let w = width
    let g = groups
    let f = first
    let s = 2 / first
    conv1 = conv2d(image, channels = 64, kernel = 7, stride = 2, padding = 3, bias = false)
    pool1 = max_pool(relu(batch_norm(conv1)), kernel = 3, stride = 2, padding = 1)
    layer1 = stage(pool1, inner = w, channels = 256, groups = g, blocks = 3, first = 1, stride = 1)
    layer2 = stage(layer1, inner = 2 * w, channels = 512, groups = g, blocks = 4, first = f, stride = s)
    layer3 = stage(layer2, inner = 4 * w, channels = 1024, groups = g, blocks = third, first = f, stride = s)
    layer4 = stage(layer3, inner = 8 * w, channels = 2048, groups = g, blocks = 3, first = f, stride = s)
    return dense(flatten(global_avg_pool(layer4)), units = 1000)
}
"""
"""ResNeXt (Xie et al., CVPR 2017); with one group and `first = 2` ResNet whose first 1 x 1 halves the map."""

NARROW_RESNET = """
block narrow(x, channels, size, stride, shortcut) {
    conv1 = conv2d(x, channels = channels, kernel = 1, bias = false)
    conv2 = conv2d(
        relu(conv1), channels = channels, kernel = 3, stride = stride, padding = 1, groups = channels / size
        bias = false
    )
    conv3 = conv2d(relu(conv2), channels = channels, kernel = 1, bias = false)
    return relu(add(conv3, shortcut))
}
block kept(x, channels, size, blocks) {
    block[1] = narrow(x, channels = channels, size = size, stride = 1, shortcut = x)
    repeat i in range(2, blocks) {
        block = narrow(block[i - 1], channels = channels, size = size, stride = 1, shortcut = block[i - 1])
    }
    return block[blocks]
}
block down(x, channels, size, blocks) {
    shortcut = conv2d(x, channels = channels, kernel = 1, stride = 2, bias = false)
    block[1] = narrow(x, channels = channels, size = size, stride = 2, shortcut = shortcut)
    repeat i in range(2, blocks) {
        block = narrow(block[i - 1], channels = channels, size = size, stride = 1, shortcut = block[i - 1])
    }
    return block[blocks]
}
network n(image: f32[1, 3, 224, 224], size = 1) -> f32[1, 1000] {
    conv1 = conv2d(image, channels = 64, kernel = 7, stride = 2, padding = 3, bias = false)
    pool1 = max_pool(relu(conv1), kernel = 3, stride = 2, padding = 1)
    layer1 = kept(pool1, channels = 64, size = size, blocks = 3)
    layer2 = down(layer1, channels = 128, size = size, blocks = 4)
    layer3 = down(layer2, channels = 256, size = size, blocks = 6)
    layer4 = down(layer3, channels = 512, size = size, blocks = 3)
    return dense(flatten(global_avg_pool(layer4)), units = 1000)
}
"""
"""Residual blocks of 1 x 1, 3 x 3 in groups of `size` maps, 1 x 1, all of one width (3, 4, 6, 3 of them)."""

VGG19_BN = """
import "networks/vgg_blocks.hap"
network n(image: f32[1, 3, 224, 224]) -> f32[1, 1000] {
    stage1 = vgg_bn_stage(image, channels = 64, convolutions = 2)
    stage2 = vgg_bn_stage(stage1, channels = 128, convolutions = 2)
    stage3 = vgg_bn_stage(stage2, channels = 256, convolutions = 4)
    stage4 = vgg_bn_stage(stage3, channels = 512, convolutions = 4)
    stage5 = vgg_bn_stage(stage4, channels = 512, convolutions = 4)
    fc6 = dense(flatten(stage5), units = 4096)
    fc7 = dense(relu(fc6), units = 4096)
    return dense(relu(fc7), units = 1000)
}
"""

MOBILENET_V2_CIFAR = """
import "networks/mobilenet_v2.hap"
block widened(x, channels, expansion = 6) {
    shortcut = mobilenet_v2_project(x, channels = channels, width = 1)
    main = mobilenet_v2_change(x, channels = channels, width = 1, expansion = expansion)
    return add(main, shortcut)
}
block kept_stage(x, channels, blocks, expansion = 6) {
    block[1] = widened(x, channels = channels, expansion = expansion)
    repeat i in range(2, blocks) {
        block = mobilenet_v2_residual(block[i - 1], channels = channels, width = 1)
    }
    return block[blocks]
}
network n(image: f32[1, 3, 32, 32]) -> f32[1, 10] {
    stem = mobilenet_v2_conv(image, channels = 32, kernel = 3)
    stage1 = kept_stage(stem, channels = 16, blocks = 1, expansion = 1)
    stage2 = kept_stage(stage1, channels = 24, blocks = 2)
    stage3 = mobilenet_v2_stage(stage2, channels = 32, width = 1, blocks = 3, stride = 2)
    stage4 = mobilenet_v2_stage(stage3, channels = 64, width = 1, blocks = 4, stride = 2)
    stage5 = kept_stage(stage4, channels = 96, blocks = 3)
    stage6 = mobilenet_v2_stage(stage5, channels = 160, width = 1, blocks = 3, stride = 2)
    stage7 = kept_stage(stage6, channels = 320, blocks = 1)
    head = mobilenet_v2_conv(stage7, channels = 1280)
    return dense(flatten(global_avg_pool(head)), units = 10)
}
"""
"""MobileNetV2 as CIFAR is trained with (kuangliu/pytorch-cifar): stages that keep the size have 1 x 1 shortcuts."""


TEXTS = {
    "svhn": SVHN,
    "mlp": MLP,
    "binary_vgg": BINARY_VGG,
    "dorefa_alexnet": DOREFA_ALEXNET,
    "resnet_cifar": RESNET_CIFAR,
    "densenet_c": DENSENET_C,
    "densenet_bc": DENSENET_BC,
    "resnext": RESNEXT,
    "narrow_resnet": NARROW_RESNET,
    "vgg19_bn": VGG19_BN,
    "mobilenet_v2_cifar": MOBILENET_V2_CIFAR,
}


@cache
def network(name: str, arguments: str = "") -> NetworkOp:
    """A network of this module or of the library, with values for some of its parameters."""
    if name in TEXTS:
        return build(f"{TEXTS[name]}\nschedule s of n({arguments}) {{}}")
    if not arguments:
        return library(name)
    return build(f'import "networks/{name}.hap"\nschedule s of {name}({arguments}) {{}}')


@cache
def summary(name: str, arguments: str = "") -> NetworkSummary:
    """What such a network is made of."""
    return summarize(network(name, arguments))


def multiplying(found: NetworkSummary) -> int:
    """The parameters of layers that multiply, their biases too: all but those of norms."""
    return sum(layer.parameters for layer in found.layers if layer.macs)


def weight_counts(op: NetworkOp, layers: str | tuple[str, ...] = "*") -> list[int]:
    """The weights of each layer that a glob names, without biases."""
    return [prod(shape_of(slot.value)) for slot in weight_slots(op, layers)]


def convolution_outputs(found: NetworkSummary) -> int:
    """The values that convolutions write for one image: `activations` in the literature on design spaces."""
    return sum(layer.writes for layer in found.layers if layer.op == "conv2d")


def decimals(value: float, printed: str) -> bool:
    """Whether a number prints as a source prints it, to its last digit."""
    return f"{value:.{len(printed.partition('.')[2])}f}" == printed
