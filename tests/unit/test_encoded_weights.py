"""Encoded weights where something is missing: damaged bytes, codes outside their set, encodings without C."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pytest
from xdsl.dialects.builtin import FloatAttr, FloatData, IntAttr, ModuleOp, f32
from xdsl.ir import Attribute
from xdsl.parser import Parser

from hapir.context import HapirContext
from hapir.diagnostics import HapirError
from hapir.dialects.enc import DecodeOp
from hapir.dialects.nn import WeightOp
from hapir.dialects.num import AffineType, BipolarType, TernaryType, signed, unsigned
from hapir.encodings.bits import Bytes, Unsigned, unsigned_of
from hapir.encodings.encoding import NOTHING_SHARED, Encoding, Part, Shared, Symbols, Tensor
from hapir.lowering.compress.encode import EncodePass, zero_code
from hapir.lowering.constants import constant_value
from hapir.lowering.fold_constants import fold_constants
from hapir.lowering.kernel.plan_loads import Axis, WeightsFile, plan_loads
from hapir.lowering.kernel.plan_program import plan_program
from hapir.lowering.network_edits import networks_of
from hapir.reference.enc import array_of, symbols_of
from hapir.registry import make_context
from hapir.targets.c.emit import emit_c
from hapir.weights import Array, WeightStore

NETWORK = """
nn.network @n (%x: tensor<1x4xf32>) -> (tensor<1x3xf32>) inputs ["x"] results ["y"] {
  %c = nn.weight "w" : tensor<3x4x!num.scaled<!num.ternary, "s">>
  %w = num.dequantize %c : tensor<3x4x!num.scaled<!num.ternary, "s">> -> tensor<3x4xf32>
  %y = nn.dense %x, %w layer "f" : (tensor<1x4xf32>, tensor<3x4xf32>) -> tensor<1x3xf32>
  nn.return %y : tensor<1x3xf32>
}
"""
CODES = np.array([[0, 1, 1, 0], [-1, -1, 0, 0], [0, 0, 0, 1]], np.int8)


def encoded(encoding: str) -> tuple[ModuleOp, WeightStore, DecodeOp]:
    module = Parser(make_context(), NETWORK).parse_module()
    weights = WeightStore({"w": CODES, "s": np.full((1, 1), 0.5, np.float32)})
    context = HapirContext(weights=weights)
    EncodePass(encoding).apply(context, module)
    (decode,) = (op for op in module.walk() if isinstance(op, DecodeOp))
    return module, context.weights, decode


def key_of(decode: DecodeOp, part: int) -> str:
    owner = decode.parts[part].owner
    assert isinstance(owner, WeightOp)
    return owner.key.data


def test_damaged_bytes_are_a_diagnostic():
    _, weights, decode = encoded("trits")
    np.testing.assert_array_equal(constant_value(decode.result, weights), CODES)
    weights.put(key_of(decode, 1), np.full(3, 243, np.uint8))
    with pytest.raises(HapirError) as raised:
        constant_value(decode.result, weights)
    assert raised.value.diagnostics[0].code == "HAP0552"


def test_a_code_outside_its_set_is_a_diagnostic():
    _, weights, decode = encoded("dense")
    weights.put(key_of(decode, 0), np.full(3, 0b10101010, np.uint8))
    with pytest.raises(HapirError) as raised:
        constant_value(decode.result, weights)
    assert raised.value.diagnostics[0].code == "HAP0552"


def test_an_index_past_the_levels_is_a_diagnostic():
    text = NETWORK.replace('!num.scaled<!num.ternary, "s">', '!num.codebook<ui2, "s">')
    module, context = Parser(make_context(), text).parse_module(), HapirContext()
    context.weights.put("w", (CODES + 1).astype(np.uint8))
    context.weights.put("s", np.array([-0.5, 0, 0.5], np.float32))
    EncodePass("dense").apply(context, module)
    (decode,) = (op for op in module.walk() if isinstance(op, DecodeOp))
    np.testing.assert_array_equal(constant_value(decode.result, context.weights), CODES + 1)
    context.weights.put(key_of(decode, 0), np.full(3, 0b11, np.uint8))
    assert failure(decode, context.weights) == "HAP0552"
    context.weights.retain([key_of(decode, 0)])
    assert failure(decode, context.weights) == "HAP0423"


def failure(decode: DecodeOp, weights: WeightStore) -> str:
    with pytest.raises(HapirError) as raised:
        constant_value(decode.result, weights)
    return raised.value.diagnostics[0].code


@pytest.mark.parametrize("bits", [0x7F800000, 0xFF800000, 0x7FC00000, 0x7F800001])
def test_a_decoded_weight_that_is_not_finite_is_a_diagnostic(bits: int):
    types = "(tensor<1x4xf32>, tensor<3x4xf32>) -> tensor<1x3xf32>"
    text = f"""
    nn.network @n (%x: tensor<1x4xf32>) -> (tensor<1x3xf32>) inputs ["x"] results ["y"] {{
      %w = nn.weight "w" : tensor<3x4xf32>
      %y = nn.dense %x, %w layer "f" : {types}
      nn.return %y : tensor<1x3xf32>
    }}"""
    module, context = Parser(make_context(), text).parse_module(), HapirContext()
    context.weights.put("w", CODES.astype(np.float32))
    EncodePass("dense").apply(context, module)
    (decode,) = (op for op in module.walk() if isinstance(op, DecodeOp))
    np.testing.assert_array_equal(constant_value(decode.result, context.weights), CODES)
    stored = context.weights[key_of(decode, 0)].view(np.uint32).copy()
    stored[5] = bits
    context.weights.put(key_of(decode, 0), stored.view(np.uint8))
    assert failure(decode, context.weights) == "HAP0552"


def test_what_is_known_of_a_weight_stays_with_it():
    module = Parser(make_context(), NETWORK.replace('"w" :', '"w" {sqnr_db = 12.5 : f64} :')).parse_module()
    context = HapirContext(weights=WeightStore({"w": CODES, "s": np.full((1, 1), 0.5, np.float32)}))
    EncodePass("dense").apply(context, module)
    (decode,) = (op for op in module.walk() if isinstance(op, DecodeOp))
    assert set(decode.attributes) == {"sqnr_db", "bits", "entropy_bits"}
    assert decode.attributes["sqnr_db"] == FloatAttr(12.5, 64)


@pytest.mark.parametrize(
    ("type_", "code"),
    [
        (AffineType(signed(8), FloatData(0.5), IntAttr(-3)), -3),
        (AffineType(unsigned(4), FloatData(0.5), IntAttr(8)), 8),
        (signed(4), 0),
        (TernaryType(), 0),
        (BipolarType(2), None),
        (f32, 0),
    ],
    ids=str,
)
def test_the_code_that_means_zero(type_: Attribute, code: int | None):
    assert zero_code(type_, WeightStore()) == code


def test_where_the_elements_of_a_table_go_is_a_sum_over_axes_or_it_is_no_load():
    module, weights, _ = encoded("dense")
    network, stored = networks_of(module)[0], weights.copy()
    file = WeightsFile.of(stored, fold_constants(network, weights))
    program = plan_program(network, weights)
    (table,) = (table for table in program.tables if table.source is not None and table.source.key in file.encoded)
    source = table.source
    assert source is not None

    def loads(arrange: Callable[[Array], Array]) -> tuple[tuple[Axis, ...], ...]:
        moved = replace(table, source=replace(source, arrange=arrange))
        return tuple(load.axes for load in plan_loads(replace(program, tables=(moved,)), file))

    assert loads(lambda w: w.T) == ((Axis(3, 3, 0, 1), Axis(4, 4, 0, 3)),)
    assert loads(lambda w: np.pad(w, ((0, 0), (0, 4)))) == ((Axis(3, 3, 0, 8), Axis(4, 4, 0, 1)),)
    assert loads(lambda w: w[[0, 2, 1]]) == ((Axis(3, 2, 4, 8), Axis(4, 4, 0, 1)),)
    assert loads(lambda w: w[:, [0, 3, 1, 2]]) == ((Axis(3, 3, 0, 4), Axis(4, 1, 0, 0, (0, 2, 3, 1))),)
    assert loads(lambda w: np.stack([w[0], np.roll(w[1], 1), w[2]])) == ()
    assert loads(lambda w: w[::-1]) == ()  # the first element does not come first
    assert loads(lambda w: np.concatenate([w, w])) == ()
    assert loads(lambda w: w[:2]) == ()


@dataclass(frozen=True)
class Ones(Encoding):
    """An encoding as a plug-in may have one: it holds tensors of ones, in no bytes."""

    name: ClassVar[str] = "ones"

    @property
    def part_names(self) -> tuple[str, ...]:
        return ()

    def part_bits(self, symbols: Symbols, shared: Shared = NOTHING_SHARED) -> dict[str, int]:
        return {}

    def encode(self, symbols: Symbols, shared: Shared = NOTHING_SHARED) -> tuple[Part, ...]:
        return ()

    def decode(self, parts: Sequence[Bytes], tensor: Tensor) -> Unsigned:
        return np.ones(tensor.count, unsigned_of(tensor.bits))


def test_weights_in_an_encoding_without_c_are_constants():
    module, weights, _ = encoded("dense")
    network = networks_of(module)[0]
    stored = weights.copy()
    known = fold_constants(network, weights)
    (key,) = known
    foreign = {key: replace(known[key], encoding=Ones(), parts=())}
    plain = emit_c(network, weights)
    assert emit_c(network, weights, file=WeightsFile.of(stored, foreign)).files == plain.files
    loaded = emit_c(network, weights, file=WeightsFile.of(stored, known))
    assert (loaded.weight_bytes, loaded.file_bytes) == (0, len(stored.to_bytes()))
    assert plain.weight_bytes == loaded.loaded_bytes > 0


@pytest.mark.parametrize(
    ("type_", "array", "symbols"),
    [
        (signed(4), np.array([-8, -1, 0, 7], np.int8), [8, 15, 0, 7]),
        (unsigned(3), np.array([0, 7], np.uint8), [0, 7]),
        (TernaryType(), np.array([-1, 0, 1], np.int8), [3, 0, 1]),
        (BipolarType(2), np.array([-3, -1, 1, 3], np.int8), [0, 1, 2, 3]),
        (signed(32), np.array([-1, 5], np.int32), [2**32 - 1, 5]),
        (f32, np.array([1.0, -0.0, 0.0], np.float32), [0x3F800000, 0x80000000, 0]),
    ],
    ids=str,
)
def test_symbols_of_each_element_type(type_: Attribute, array: np.ndarray, symbols: list[int]):
    found = symbols_of(array, type_, None)
    assert found.values.tolist() == symbols
    again = array_of(found.values, array.shape, type_)
    assert again.dtype == array.dtype
    assert again.tobytes() == array.tobytes()
