"""Running whole networks: batches, observers, checks of inputs and weights, and the diagnostics they give."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from xdsl.dialects import test
from xdsl.ir import Operation
from xdsl.parser import Parser

from hapir.diagnostics import HapirError
from hapir.dialects.nn import NetworkOp, ReluOp
from hapir.reference import run_network
from hapir.registry import make_context
from hapir.weights import WeightStore
from tests.property.strategies import Sample, networks

Array = npt.NDArray[Any]
EXAMPLES = settings(max_examples=40, deadline=None)


def network_of(text: str) -> NetworkOp:
    module = Parser(make_context(), text).parse_module()
    module.verify()
    network = module.body.block.first_op
    assert isinstance(network, NetworkOp)
    return network


DENSE = """
nn.network @tiny (%x: tensor<1x2xf32>) -> (tensor<1x3xf32>) inputs ["x"] results ["y"] {
  %w = nn.weight "d.weight" : tensor<3x2xf32>
  %y = nn.dense %x, %w layer "d" : (tensor<1x2xf32>, tensor<3x2xf32>) -> tensor<1x3xf32>
  nn.return %y : tensor<1x3xf32>
}
"""
WEIGHTS = {"d.weight": np.array([[1, 2], [3, 4], [5, 6]], np.float32)}

QUANTIZED = """
nn.network @q (%x: tensor<1x2xf32>) -> (tensor<1x3x!num.affine<ui8, 0.5 : 10>>, tensor<1x3xf32>)
    inputs ["x"] results ["q", "y"] {
  %q = num.quantize %x half_even : tensor<1x2xf32> -> tensor<1x2x!num.affine<ui8, 0.25 : 128>>
  %y, %d = dataflow.layer "d" (%a = %q : tensor<1x2x!num.affine<ui8, 0.25 : 128>>)
      -> (tensor<1x3x!num.affine<ui8, 0.5 : 10>>, tensor<1x3xf32>) {
    %w = nn.weight "w" : tensor<3x2x!num.per_channel<si8, 0, "w.scale">>
    %b = nn.weight "b" : tensor<3xsi32>
    %acc = nn.dense %a, %w bias %b : (tensor<1x2x!num.affine<ui8, 0.25 : 128>>,
        tensor<3x2x!num.per_channel<si8, 0, "w.scale">>, tensor<3xsi32>) -> tensor<1x3xsi32>
    %m = nn.weight "m" : tensor<3xui16>
    %s = nn.weight "s" : tensor<3xui8>
    %r = num.requantize %acc, %m, %s half_up bounds 10, 255 : tensor<1x3xsi32>, tensor<3xui16>, tensor<3xui8>
        -> tensor<1x3x!num.affine<ui8, 0.5 : 10>>
    %c = nn.clip %r from 0.0 to 2.2 : tensor<1x3x!num.affine<ui8, 0.5 : 10>> -> tensor<1x3x!num.affine<ui8, 0.5 : 10>>
    %f = num.dequantize %c : tensor<1x3x!num.affine<ui8, 0.5 : 10>> -> tensor<1x3xf32>
    dataflow.yield %c, %f : tensor<1x3x!num.affine<ui8, 0.5 : 10>>, tensor<1x3xf32>
  }
  nn.return %y, %d : tensor<1x3x!num.affine<ui8, 0.5 : 10>>, tensor<1x3xf32>
}
"""
QUANTIZED_WEIGHTS = {
    "w": np.array([[2, 0], [0, 3], [-4, 1]], np.int8),
    "w.scale": np.array([0.5, 0.25, 0.125], np.float32),
    "b": np.array([0, 5, -1], np.int32),
    "m": np.array([1, 3, 1], np.uint16),
    "s": np.array([2, 2, 0], np.uint8),
}


def test_a_quantized_layer_by_hand() -> None:
    # x -> q - 128: 1.0 -> 4, 0.6 -> 2 (2.4), -> acc: [8, 2*3+5 = 11, -16+2-1 = -15]
    # requantized: 8/4 + 10 = 12; round(33/4) + 10 = 18; -15 + 10 -> low bound 10; clip at round(2.2/0.5) + 10 = 14
    results = run_network(network_of(QUANTIZED), QUANTIZED_WEIGHTS, {"x": np.array([[1.0, 0.6]], np.float32)})
    assert list(results) == ["q", "y"]
    assert results["q"].dtype == np.uint8
    assert results["q"].tolist() == [[12, 14, 10]]
    assert results["y"].dtype == np.float32
    assert results["y"].tolist() == [[1.0, 2.0, 0.0]]


@EXAMPLES
@given(networks())
def test_a_batch_is_its_items_one_by_one(sample: Sample) -> None:
    inputs = sample.inputs(batch=3)
    together = run_network(sample.network, sample.weights, inputs)["y"]
    for i in range(3):
        alone = run_network(sample.network, sample.weights, {"image": inputs["image"][i : i + 1]})["y"]
        assert alone.dtype == together.dtype
        assert alone.shape == (1, *together.shape[1:])
        if together.dtype == np.float32:  # an argmax may fall otherwise where two values differ by rounding
            assert np.allclose(alone[0], together[i], rtol=1e-4, atol=1e-4)


@EXAMPLES
@given(networks())
def test_shapes_and_types_are_those_of_the_ir(sample: Sample) -> None:
    from hapir.dialects.num import element_type, shape_of
    from hapir.reference.values import dtype_of

    def check(op: Operation, results: tuple[Array, ...]) -> None:
        for value, array in zip(op.results, results, strict=True):
            shape = shape_of(value)
            batched = shape if op.name == "nn.weight" else (2, *shape[1:])
            assert (array.shape, array.dtype) == (batched, dtype_of(element_type(value))), op

    run_network(sample.network, sample.weights, sample.inputs(batch=2), observe=check)


def test_the_observer_sees_every_op_in_order() -> None:
    network = network_of(QUANTIZED)
    seen: list[Operation] = []
    run_network(
        network,
        QUANTIZED_WEIGHTS,
        {"x": np.zeros((2, 2), np.float32)},
        observe=lambda op, results: seen.append(op),
    )
    layer = next(op for op in network.walk() if op.name == "dataflow.layer")
    inside = [op for op in layer.walk() if op.results and op is not layer]
    assert seen == [next(iter(network.body.block.ops)), *inside, layer]


def failure(run: Callable[[], object]) -> tuple[str, str]:
    """Code and full text of the one diagnostic that `run` raises."""
    with pytest.raises(HapirError) as caught:
        run()
    (diagnostic,) = caught.value.diagnostics
    return diagnostic.code, f"{diagnostic.message}; {diagnostic.help}"


X = np.zeros((1, 2), np.float32)


@pytest.mark.parametrize(
    ("inputs", "code", "words"),
    [
        ({}, "HAP0420", ["`x`", "float32 of shape Nx2"]),
        ({"y": X}, "HAP0420", ["no input `y`", "float32 of shape Nx2"]),
        ({"x": X, "z": X}, "HAP0420", ["no input `z`"]),
        ({"x": X.astype(np.float64)}, "HAP0421", ["`x` is float64", "float32 of shape Nx2"]),
        ({"x": np.zeros((1, 3), np.float32)}, "HAP0421", ["shape 1x3", "float32 of shape Nx2"]),
        ({"x": np.zeros(2, np.float32)}, "HAP0421", ["shape 2", "float32 of shape Nx2"]),
        ({"x": np.array(1, np.float32)}, "HAP0421", ["shape scalar", "float32 of shape Nx2"]),
        ({"x": np.zeros((0, 2), np.float32)}, "HAP0421", ["holds 0 items"]),
        ({"x": np.array([[0, np.nan]], np.float32)}, "HAP0422", ["`x`", "a value that is not finite", "nan", "[0, 1]"]),
        ({"x": np.array([[0, 0], [-np.inf, 0]], np.float32)}, "HAP0422", ["-inf", "[1, 0]"]),
    ],
)  # fmt: skip
def test_wrong_inputs(inputs: dict[str, Array], code: str, words: list[str]) -> None:
    found, text = failure(lambda: run_network(network_of(DENSE), WEIGHTS, inputs))
    assert found == code
    assert all(word in text for word in words), text


@pytest.mark.parametrize(
    ("weights", "code", "words"),
    [
        ({}, "HAP0423", ["no weights `d.weight`"]),
        ({"d.weigth": X}, "HAP0423", ["did you mean `d.weigth`?"]),
        ({"d.weight": np.zeros((2, 3), np.float32)}, "HAP0424", ["float32 of shape 2x3", "float32 of shape 3x2"]),
        ({"d.weight": np.zeros((3, 2))}, "HAP0424", ["float64 of shape 3x2", "float32"]),
        ({"d.weight": np.full((3, 2), np.inf, np.float32)}, "HAP0422", ["`d.weight`", "6 values"]),
    ],
)
def test_wrong_weights(weights: dict[str, Array], code: str, words: list[str]) -> None:
    found, text = failure(lambda: run_network(network_of(DENSE), weights, {"x": X}))
    assert found == code
    assert all(word in text for word in words), text


@pytest.mark.parametrize(
    ("scales", "code"),
    [
        (None, "HAP0423"),
        (np.ones(2, np.float32), "HAP0424"),
        (np.ones(3, np.int32), "HAP0424"),
        (np.array([1, 0, 1], np.float32), "HAP0422"),
        (np.array([1, np.nan, 1], np.float32), "HAP0422"),
    ],
)
def test_wrong_scales(scales: Array | None, code: str) -> None:
    weights: dict[str, Array] = {**QUANTIZED_WEIGHTS}
    del weights["w.scale"]
    if scales is not None:
        weights["w.scale"] = scales
    found, text = failure(lambda: run_network(network_of(QUANTIZED), weights, {"x": X}))
    assert found == code
    assert "`w.scale`" in text


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        ([1, 2, 3, 4], [[1, 4], [3, 2]]),
        ([[1, 2, 3, 4], [5, 6, 7, 8]], [[1, 4], [7, 6]]),
        ([[1, 2, 3, 4]], [[1, 4], [3, 2]]),
        ([[1, 2, 3, 4]] * 3, "HAP0424"),
        ([1, 2, 3], "HAP0422"),
        ([1, 2, 3, 4, 5], "HAP0424"),
    ],
    ids=str,
)
def test_levels_are_a_row_or_rows_for_equal_blocks(table: list[object], expected: list[list[float]] | str) -> None:
    network = network_of("""
        nn.network @coded (%x: tensor<1x2xf32>) -> (tensor<2x2xf32>) inputs ["x"] results ["y"] {
          %c = nn.weight "w" : tensor<2x2x!num.codebook<ui2, "w.levels">>
          %y = num.dequantize %c : tensor<2x2x!num.codebook<ui2, "w.levels">> -> tensor<2x2xf32>
          nn.return %y : tensor<2x2xf32>
        }""")
    weights: dict[str, Array] = {"w": np.array([[0, 3], [2, 1]], np.uint8), "w.levels": np.array(table, np.float32)}
    inputs = {"x": np.zeros((1, 2), np.float32)}
    if isinstance(expected, str):
        assert failure(lambda: run_network(network, weights, inputs))[0] == expected
    else:
        assert run_network(network, weights, inputs)["y"].tolist() == expected


def test_batches_must_agree() -> None:
    network = network_of("""
        nn.network @two (%a: tensor<1x2xf32>, %b: tensor<1x2xf32>) -> (tensor<1x2xf32>)
            inputs ["a", "b"] results ["y"] {
          %y = nn.add %a, %b : (tensor<1x2xf32>, tensor<1x2xf32>) -> tensor<1x2xf32>
          nn.return %y : tensor<1x2xf32>
        }""")
    inputs = {"a": np.zeros((3, 2), np.float32), "b": np.zeros((2, 2), np.float32)}
    code, text = failure(lambda: run_network(network, {}, inputs))
    assert code == "HAP0421"
    assert "`b` holds 2 items" in text


def test_integers_must_lie_in_their_type() -> None:
    network = network_of("""
        nn.network @nibble (%q: tensor<1x2x!num.affine<ui4, 0.5 : 0>>) -> (tensor<1x2xf32>) inputs ["q"] results ["y"] {
          %y = num.dequantize %q : tensor<1x2x!num.affine<ui4, 0.5 : 0>> -> tensor<1x2xf32>
          nn.return %y : tensor<1x2xf32>
        }""")
    assert run_network(network, {}, {"q": np.array([[15, 0]], np.uint8)})["y"].tolist() == [[7.5, 0]]
    code, text = failure(lambda: run_network(network, {}, {"q": np.array([[16, 0]], np.uint8)}))
    assert code == "HAP0422"
    assert "0 to 16" in text


def test_an_op_without_meaning_is_named() -> None:
    network = network_of(DENSE)
    block = network.body.block
    stranger = test.TestOp(operands=[block.args[0]], result_types=[block.args[0].type])
    assert block.first_op is not None
    block.insert_op_before(stranger, block.first_op)
    code, text = failure(lambda: run_network(network, WEIGHTS, {"x": X}))
    assert code == "HAP0425"
    assert "`test.op`" in text


def test_overflow_names_the_op() -> None:
    weights = {**QUANTIZED_WEIGHTS, "b": np.full(3, 2**31 - 1, np.int32)}
    with pytest.raises(OverflowError) as caught:
        run_network(network_of(QUANTIZED), weights, {"x": np.full((1, 2), 3, np.float32)})
    assert caught.value.__notes__ == ["at nn.dense", 'at dataflow.layer "d"']


def test_values_that_become_infinite_do_not_reach_a_quantizer() -> None:
    network = network_of("""
        nn.network @huge (%x: tensor<1x1xf32>) -> (tensor<1x1x!num.affine<ui8, 0.5 : 0>>) inputs ["x"] results ["y"] {
          %d = nn.add %x, %x layer "a" : (tensor<1x1xf32>, tensor<1x1xf32>) -> tensor<1x1xf32>
          %q = num.quantize %d half_even layer "q" : tensor<1x1xf32> -> tensor<1x1x!num.affine<ui8, 0.5 : 0>>
          nn.return %q : tensor<1x1x!num.affine<ui8, 0.5 : 0>>
        }""")
    with np.errstate(over="ignore"):
        code, text = failure(lambda: run_network(network, {}, {"x": np.array([[3e38]], np.float32)}))
    assert code == "HAP0422"
    assert 'num.quantize "q"' in text


def test_arrays_that_are_no_longer_used_are_dropped() -> None:
    import weakref

    network = network_of("""
        nn.network @chain (%x: tensor<1x4xf32>) -> (tensor<1x4xf32>) inputs ["x"] results ["y"] {
          %a = nn.relu %x : tensor<1x4xf32> -> tensor<1x4xf32>
          %b = nn.relu %a : tensor<1x4xf32> -> tensor<1x4xf32>
          %c = nn.relu %b : tensor<1x4xf32> -> tensor<1x4xf32>
          nn.return %c : tensor<1x4xf32>
        }""")
    results: list[weakref.ref[Array]] = []
    alive: list[int] = []

    def watch(op: Operation, arrays: tuple[Array, ...]) -> None:
        assert isinstance(op, ReluOp)
        results.append(weakref.ref(arrays[0]))
        alive.append(sum(ref() is not None for ref in results))

    run_network(network, WeightStore(), {"x": np.zeros((2, 4), np.float32)}, observe=watch)
    assert alive == [1, 2, 2]


@pytest.mark.parametrize("items", [1, 2])
def test_a_parameter_joined_to_a_batch(items: int) -> None:
    """One item serves any batch; one for each item of the declared batch fits that alone."""
    network = network_of(f"""
nn.network @net (%x: tensor<{items}x2xf32>) -> (tensor<{items}x3xf32>) inputs ["x"] results ["y"] {{
  %w = nn.weight "w" : tensor<{items}x1xf32>
  %y = nn.concat %x, %w axis 1 : (tensor<{items}x2xf32>, tensor<{items}x1xf32>) -> tensor<{items}x3xf32>
  nn.return %y : tensor<{items}x3xf32>
}}
""")
    weights = {"w": np.ones((items, 1), np.float32)}
    x = np.arange(8, dtype=np.float32).reshape(4, 2)
    if items == 1:
        (found,) = run_network(network, weights, {"x": x}).values()
        np.testing.assert_array_equal(found, np.concatenate([x, np.ones((4, 1), np.float32)], 1))
    else:
        with pytest.raises(HapirError, match="mixes the items"):
            run_network(network, weights, {"x": x})
