"""Whole models as text: short, with the modules of the model as blocks, and the same numbers as the network has."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import pytest
from xdsl.dialects.builtin import ModuleOp

from hapir.diagnostics import HapirError
from hapir.dialects.num import shape_of
from hapir.importers.onnx.convert import convert
from hapir.importers.onnx.graph import graph_of
from hapir.importers.onnx.read import make_canonical
from hapir.importers.read_back import read_text
from hapir.importers.text import network_text
from hapir.lowering.network_edits import networks_of
from hapir.reference.interpret import run_network
from tests.onnx_models import networks, small
from tests.onnx_models.resnet import resnet
from tests.property.quantized_models import quantized_network

MODELS: dict[str, tuple[Callable[[], onnx.ModelProto], int]] = {
    "lenet": (networks.lenet, 20),
    "vgg16": (lambda: networks.vgg16(width=4, size=32, hidden=16, classes=10), 45),
    "mobilenet_v2": (lambda: networks.mobilenet_v2(width=8, size=32, classes=10), 60),
    "densenet121": (lambda: networks.densenet121(growth=4, size=32, classes=10), 55),
    "squeezenet": (lambda: networks.squeezenet(width=4, size=32, classes=10), 35),
    "lstm": (networks.lstm, 27),
    "transformer": (lambda: networks.transformer(layers=6), 75),
    "resnet18": (lambda: resnet(18, width=4, size=32, classes=10), 50),
    "resnet50": (lambda: resnet(50, width=4, size=32, classes=10), 50),
    "resnet50 with batch norm": (lambda: resnet(50, width=4, size=32, classes=10, batch_norm=True), 60),
    "quantized": (small.quantized, 20),
    "quantized by onnxruntime": (lambda: quantized_network("QDQ", True, ("QUInt8", "QInt8")).proto, 30),
    "recurrent": (small.recurrent, 20),
    "convolutions": (small.convolutions, 40),
    "elementwise": (small.elementwise, 40),
}
"""Models, and the most lines of their texts."""


@pytest.mark.parametrize("name", MODELS)
def test_models_as_text(name: str):
    make, most = MODELS[name]
    converted = convert(graph_of(make(), {}, batch=None if "quantized" in name else 1), "model")
    weights = make_canonical(converted.module, converted.weights)
    network = networks_of(converted.module)[0]
    written = network_text(network)
    assert len(written.text.splitlines()) <= most
    rng = np.random.default_rng(0)
    arguments = zip(network.body.block.args, network.input_names, strict=True)
    inputs = {n.data: rng.standard_normal(shape_of(a)).astype(np.float32) for a, n in arguments}
    expected = run_network(network, weights, inputs)
    again = {new: weights[old] for new, old in written.weights.items()}
    found = run_network(read_text(written), again, dict(zip(written.inputs, inputs.values(), strict=True)))
    for mine, theirs in zip(expected.values(), found.values(), strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_a_resnet_reads_as_people_write_it():
    converted = convert(graph_of(resnet(50, width=4, size=32, classes=10), {}, batch=1), "resnet50")
    make_canonical(converted.module, converted.weights)
    written = network_text(networks_of(converted.module)[0])
    assert (
        """
    maxpool = max_pool(relu, kernel = 3, stride = 2, padding = 1)
    layer1_0 = layer(maxpool, channels = 4)
    layer1_1 = layer_residual(layer1_0, channels = 4)
    layer1_2 = layer_residual(layer1_1, channels = 4)
    layer2[0] = layer(layer1_2, channels = 8, stride = 2)
    repeat i in range(1, 3) {
        layer2 = layer_residual(layer2[i - 1], channels = 8)
    }
    layer3[0] = layer(layer2[3], channels = 16, stride = 2)
    repeat i in range(1, 5) {
        layer3 = layer_residual(layer3[i - 1], channels = 16)
    }
"""
        in written.text
    )
    assert "layer3_4.conv2.weight" in written.weights


@pytest.mark.slow
def test_what_is_imported_can_be_written():
    """Every node test of onnx that is imported becomes text and comes back, but for those that the list names."""
    from onnx.backend.test.case.node import collect_testcases

    known = {
        "test_shape_start_greater_than_end": "a tensor without elements",
        "test_convinteger_without_padding": "plain integers as weights that are computed",
    }
    cases = [case for case in collect_testcases(None) if case.model is not None]
    imported = 0
    for case in cases:
        assert case.model is not None
        try:
            module = convert(graph_of(case.model, {}, batch=None), "n").module
        except HapirError:
            continue
        assert isinstance(module, ModuleOp)
        imported += 1
        if case.name in known:
            with pytest.raises(HapirError):
                network_text(networks_of(module)[0])
        else:
            network_text(networks_of(module)[0])
    assert imported > 800


@pytest.mark.parametrize("shape", [(), (2, 3)])
def test_a_choice_between_two_numbers(shape: tuple[int, ...]):
    """The condition does not say their type, so one of them is a constant."""
    one, two = (onnx.numpy_helper.from_array(np.full(shape, v, np.float32), n) for v, n in ((1.5, "a"), (-1e9, "b")))
    f32, kinds = onnx.TensorProto.FLOAT, onnx.TensorProto.BOOL
    nodes = [onnx.helper.make_node("Where", ["c", "a", "b"], ["y"])]
    given = [onnx.helper.make_tensor_value_info("c", kinds, (2, 3))]
    given_back = [onnx.helper.make_tensor_value_info("y", f32, (2, 3))]
    converted = convert(
        graph_of(onnx.helper.make_model(onnx.helper.make_graph(nodes, "g", given, given_back, [one, two]))), "net"
    )
    weights = make_canonical(converted.module, converted.weights)
    written = network_text(networks_of(converted.module)[0])
    again = {new: weights[old] for new, old in written.weights.items()}
    test = np.array([[0, 1, 0], [1, 1, 0]], np.uint8)
    (found,) = run_network(read_text(written), again, {written.inputs[0]: test}).values()
    np.testing.assert_array_equal(found, np.where(test, np.float32(1.5), np.float32(-1e9)))
