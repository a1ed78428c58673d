"""Networks out to ONNX and in again: the same results, and for what ONNX says in one operator the same IR up to names.

Not among the latter: layers that ONNX says in pieces (gathered taps, silu, indices of 64 bits, recurrent layers), and
those that an import makes simpler (a reshape or slice that changes nothing, maps resized by the general form).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from xdsl.ir import SSAValue

from hapir.dialects import nn
from hapir.dialects.nn import NetworkOp
from hapir.exporters.onnx.export import ExportOptions, export_network, model_files
from hapir.importers.onnx import import_model
from hapir.importers.onnx.convert import convert
from hapir.importers.onnx.graph import graph_of
from hapir.importers.onnx.load import parse
from hapir.reference.interpret import run_network
from hapir.weights import WeightStore
from tests.property.odd_networks import SHAPES, odd_sample
from tests.property.strategies import FEATURES, Sample, networks
from tests.property.test_export_onnx import EXAMPLES, SWEEP
from tests.property.wider_layers import MOVING

OPSET = 23
IN_PIECES = {"gather_taps", "float_activation", "argmax", "recurrent"}
SIMPLER = {*MOVING, "bilinear", "resample"}
SAME = FEATURES - IN_PIECES - SIMPLER
PLAIN = ("c1", "n1", "r1", "p1", "f1", "a1", "b2", "out", "step", "block_1")


def _again(sample: Sample) -> tuple[NetworkOp, WeightStore]:
    """The network after it went through the bytes of a model, before anything makes it simpler."""
    model = export_network(sample.network, sample.weights, ExportOptions(opset=OPSET))
    again = convert(graph_of(parse(model.SerializeToString())), sample.network.sym_name.data)
    network = again.module.body.block.first_op
    assert isinstance(network, NetworkOp)
    return network, again.weights


def _signature(network: NetworkOp, weights: WeightStore) -> list[object]:
    """The ops with their properties, wiring, types and arrays, but without names of keys."""
    numbers: dict[SSAValue, object] = {value: ("input", i) for i, value in enumerate(network.body.block.args)}
    found: list[object] = [str(network.function_type), str(network.input_names), str(network.result_names)]
    for op in network.body.block.ops:
        if isinstance(op, nn.WeightOp):
            array = weights[op.key.data]
            numbers[op.result] = (str(op.result.type), array.tobytes())
            continue
        properties = {name: str(value) for name, value in op.properties.items()}
        operands = [numbers[v] for v in op.operands]
        found.append((op.name, properties, operands, [str(result.type) for result in op.results]))
        numbers.update({result: (len(found), i) for i, result in enumerate(op.results)})
    return found


def _assert_same_results(sample: Sample, network: NetworkOp, weights: WeightStore) -> None:
    inputs = sample.inputs(1)
    expected = run_network(sample.network, sample.weights, inputs)["y"]
    found = run_network(network, weights, inputs)["y"]
    assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
    assert np.abs(found.astype(np.float64) - expected).max() <= 1e-4 * max(1.0, float(np.abs(expected).max()))


@EXAMPLES
@given(networks())
def test_results_stay(sample: Sample) -> None:
    _assert_same_results(sample, *_again(sample))


@pytest.mark.slow
@SWEEP
@given(networks())
def test_results_of_many_stay(sample: Sample) -> None:
    _assert_same_results(sample, *_again(sample))


@EXAMPLES
@given(networks(allow=SAME, names=PLAIN))
def test_networks_stay(sample: Sample) -> None:
    """Layer names are among the properties that stay."""
    assert _signature(*_again(sample)) == _signature(sample.network, sample.weights)


@pytest.mark.parametrize("shape", SHAPES)
def test_an_imported_file(shape: str, tmp_path: Path) -> None:
    """The whole way, through a file and all that an import makes simpler; parameters keep their keys."""
    sample = odd_sample(shape, None)
    model = export_network(sample.network, sample.weights)
    for name, data in model_files(model, "odd.onnx", external=True).items():
        (tmp_path / name).write_bytes(data)
    again = import_model(tmp_path / "odd.onnx")
    _assert_same_results(sample, again.network, again.weights)
    if shape != "recurrent":  # whose biases are one array in ONNX
        keys = {op.key.data for op in again.network.walk() if isinstance(op, nn.WeightOp)}
        assert keys <= set(sample.weights)
