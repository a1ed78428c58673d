"""Footprints of layers against counts made by hand: recurrent, shared, generated, gathered and encoded weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from xdsl.parser import Parser

import hapir
from hapir.context import HapirContext
from hapir.dialects.nn import WeightOp
from hapir.lowering.compress.encode import EncodePass
from hapir.lowering.network_edits import networks_of
from hapir.registry import make_context
from hapir.report.compression import Footprint
from hapir.report.footprint import footprints

SPEC = """\
hap 1
network n(image: f32[1, 1, 6, 6]) -> f32[1, 3] {
    c1 = conv2d(image, channels = 4, kernel = 3, padding = 1, bias = false)
    c2 = conv2d(relu(c1), channels = 4, kernel = 3, padding = 1)
    f1 = dense(flatten(global_avg_pool(c2)), units = 3)
    return f1
}
network words(rows: f32[1, 8, 6]) -> f32[1, 3] {
    l1 = lstm(rows, units = 5)
    f1 = dense(flatten(l1), units = 3)
    return f1
}
recipe as_csg { csg(slice = [2, 2, 3, 3], code = 3) }
recipe as_bsg { bsg(slice = [2, 2, 3, 3], code = 40) }
recipe as_columns { structure_prune(layers = "c2", structures = column, sparsity = 50 %) }
recipe as_levels { k_means(layers = "c2", bits = 2), encode(layers = "c2", encoding = dense) }
schedule csg of n with as_csg { weights = random() }
schedule bsg of n with as_bsg { weights = random() }
schedule columns of n with as_columns { weights = random() }
schedule levels of n with as_levels { weights = random() }
schedule lstm of words { weights = random() }
"""


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    path = tmp_path / "n.hap"
    path.write_text(SPEC, encoding="utf-8")
    return path


def found(spec: Path, schedule: str) -> dict[str, Footprint]:
    """The layers with parameters, and that no byte of the weights file is left out or counted twice."""
    scheduled = hapir.load(spec).schedule(schedule)
    layers = {name: print for name, (_, print) in footprints(scheduled.network, scheduled.weights).items()}
    assert sum(layer.disk_bytes for layer in layers.values()) == sum(a.nbytes for a in scheduled.weights.values())
    return {name: layer for name, layer in layers.items() if layer.disk_bytes}


def test_recurrent_layers(spec: Path) -> None:
    gates, steps = 4 * 5, 8
    weights = gates * 6 + gates * 5
    bias = 2 * gates
    layer = found(spec, "lstm")["l1"]
    assert layer == Footprint(
        weights + bias, weights, weights, 4 * weights, 4 * (weights + bias), 4 * (weights + bias), steps * weights
    )


def test_generated_weights(spec: Path) -> None:
    weights, bias, uses = 4 * 4 * 9, 4, 36
    codes_and_matrix = 4 * (4 * 3 + 36 * 3)
    assert found(spec, "csg")["c2"] == Footprint(
        *(weights + bias, weights, weights, codes_and_matrix, codes_and_matrix + 4 * bias),
        *(4 * (weights + bias), uses * weights),
    )
    layer = found(spec, "bsg")["c2"]
    words = -(-40 // 16)
    assert (layer.weight_bytes, layer.disk_bytes) == (2 * (4 + 1) * words, 2 * (4 + 1) * words + 4 * bias)
    assert (layer.parameters, layer.weights) == (weights + bias, weights)
    assert layer.macs == uses * layer.nonzeros < uses * weights


def test_gathered_weights_and_their_places(spec: Path) -> None:
    layers = found(spec, "columns")
    weights, bias, places, uses = 4 * 18, 4, 18, 36
    assert layers["c2"] == Footprint(
        *(weights + bias, weights, weights, 4 * weights, 4 * (weights + bias)),
        *(4 * (weights + bias), uses * weights),
    )
    # one of them is place 0, and none is a number that is computed with
    assert layers["c2.taps"] == Footprint(weight_bytes=4 * places, disk_bytes=4 * places, ram_bytes=4 * places)


def test_encoded_weights(spec: Path) -> None:
    weights, bias = 4 * 4 * 9, 4
    layer = found(spec, "levels")["c2"]
    stored = weights * 2 // 8 + 4 * 4
    assert (layer.weight_bytes, layer.disk_bytes) == (stored, stored + 4 * bias)
    assert layer.bits_per_weight == 2 + 8 * 16 / weights
    assert (layer.ram_bytes, layer.packable_bytes) == (4 * (weights + bias), 0)


SHARED = """
nn.network @n (%x: tensor<1x4xf32>) -> (tensor<1x4xf32>) inputs ["x"] results ["y"] {
  %w = nn.weight "w" : tensor<4x4xf32>
  %h = nn.dense %x, %w layer "a" : (tensor<1x4xf32>, tensor<4x4xf32>) -> tensor<1x4xf32>
  %v = nn.weight "w" : tensor<4x4xf32>
  %y = nn.dense %h, %v layer "b" : (tensor<1x4xf32>, tensor<4x4xf32>) -> tensor<1x4xf32>
  nn.return %y : tensor<1x4xf32>
}
"""


def test_shared_weights_are_stored_once_and_used_twice() -> None:
    module, context = Parser(make_context(), SHARED).parse_module(), HapirContext()
    context.weights.put("w", np.array([[0, 1, 2, 0]] * 4, np.float32))
    layers = footprints(networks_of(module)[0], context.weights)
    assert layers["a"][1] == Footprint(16, 8, 16, 64, 64, 64, 8)
    assert layers["b"][1] == Footprint(macs=8)


def test_the_code_of_a_model_counts_once() -> None:
    text = SHARED.replace('%v = nn.weight "w"', '%v = nn.weight "v"')
    module, context = Parser(make_context(), text).parse_module(), HapirContext()
    for key in "wv":
        context.weights.put(key, np.array([[0, 1, 2, 0]] * 4, np.float32))
    EncodePass("huffman(source = symbols, codebook = model)").apply(context, module)
    network = networks_of(module)[0]
    keys = {op.key.data for op in network.walk() if isinstance(op, WeightOp)}
    layers = footprints(network, context.weights)
    first, second = layers["a"][1], layers["b"][1]
    assert first.disk_bytes + second.disk_bytes == sum(context.weights[key].nbytes for key in keys)
    assert first.disk_bytes - second.disk_bytes == context.weights["n.huffman.book"].nbytes
    assert (first.parameters, second.parameters) == (16, 16)
