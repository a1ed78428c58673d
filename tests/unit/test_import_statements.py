"""Statements of ops: each layer statement of the registry, built, written as text and read again, is the same op."""

from __future__ import annotations

import itertools
import re

import pytest
from xdsl.dialects.builtin import ArrayAttr, StringAttr, TensorType, f32
from xdsl.ir import Attribute, SSAValue
from xdsl.utils.exceptions import VerifyException

from hapir.diagnostics import Findings, HapirError
from hapir.dialects import nn, num
from hapir.dialects.nn_layers import LayerDefinition
from hapir.dialects.nn_shapes import Shape, Window
from hapir.dialects.num import AffineType, element_type, signed, unsigned
from hapir.dialects.num_layers import affine
from hapir.importers.statements import StatementReader
from hapir.importers.text import network_text
from hapir.registry import universe
from hapir.spec import syntax
from hapir.spec.options import read_options
from hapir.spec.parse import parse

TYPES = (
    *(
        TensorType(f32, shape)
        for shape in ((1, 4, 6, 6), (1, 4, 6), (1, 4), (1, 4, 4), (1, 256), (4,), (), (1, 4, 9, 9))
    ),
    *(TensorType(element, (1, 4)) for element in (unsigned(1), signed(32), unsigned(8))),
    *(TensorType(element, (1, 4, 6, 6)) for element in (signed(8), unsigned(8), signed(32), unsigned(1))),
    TensorType(affine(unsigned(8), 0.02, 3), (1, 4, 6, 6)),
)
"""Types of tensors that some layer takes."""


def example_of(kind: str) -> syntax.Call:
    """The call in the example of a statement's docstring."""
    text = re.search(rf"Example: `[^`]*?\b({kind}\([^`]*\))", universe().layers[kind]().__doc__ or "")
    assert text is not None, f"the docstring of {kind} has no example"
    call = parse(f"hap 1\nlet said = {text[1]}", "example").constants[0].value
    assert isinstance(call, syntax.Call)
    return call


def network_of(definition: LayerDefinition, types: tuple[TensorType[Attribute], ...]) -> nn.NetworkOp | None:
    """A network of one layer; None where it takes no such tensors."""
    coded = [isinstance(type_.get_element_type(), AffineType) for type_ in types]
    inputs = [TensorType(f32, t.get_shape()) if codes else t for t, codes in zip(types, coded, strict=True)]
    network = nn.NetworkOp("one", [(f"t{i}", type_) for i, type_ in enumerate(inputs)], [])
    block = network.body.block
    values: list[SSAValue] = list(block.args)
    for i in (i for i, codes in enumerate(coded) if codes):
        quantized = num.QuantizeOp(block.args[i], types[i], layer=f"q{i}", single=True)
        block.add_op(quantized)
        values[i] = quantized.result

    def parameter(suffix: str, shape: Shape, element: Attribute = f32, /, *, reals: bool = False) -> SSAValue:
        weight = nn.WeightOp(f"y.{suffix}", TensorType(element, shape))
        block.add_op(weight)
        if not reals:
            return weight.result
        block.add_op(read := num.DequantizeOp(weight.result))
        return read.result

    try:
        op = definition.build(values, parameter, "y")
        if op.parent is None:  # a constant is there already
            op.verify()
            block.add_op(op)
    except (ValueError, VerifyException):
        return None
    results = list(op.results)
    for i, result in enumerate(results):
        if isinstance(element_type(result), AffineType):
            block.add_op(real := num.DequantizeOp(result, f"d{i}"))
            results[i] = real.result
    block.add_op(nn.ReturnOp(results))
    network.result_names = ArrayAttr([StringAttr(f"r{i}") for i, _ in enumerate(op.results)])
    network.set_result_types()
    network.verify()
    return network


@pytest.mark.parametrize("kind", sorted(universe().layers))
def test_every_statement_is_found_again(kind: str):
    call, definition = example_of(kind), universe().layers[kind]()
    findings = Findings()
    options = read_options(definition, call.options, at=call.span, what=kind, findings=findings)
    assert options is not None, findings.sorted()
    inputs = len(call.arguments)
    made = (network_of(options, types) for types in itertools.product(TYPES, repeat=inputs))
    network = next((n for n in made if n is not None), None)
    assert network is not None, f"none of the types is what {kind} takes"
    written = network_text(network)  # which compares what it reads back
    (statement,) = re.findall(r"^    y = (\w+)\((.*)\)$", written.text, re.MULTILINE)
    assert statement[0] == kind
    given = {option.name.text for option in call.options}
    assert set(re.findall(r"(\w+) = ", statement[1])) <= given, "defaults are left out"
    assert set(written.weights.values()) == {op.key.data for op in network.walk() if isinstance(op, nn.WeightOp)}


def test_options_are_written_as_short_as_they_can_be():
    x = nn.WeightOp("x", TensorType(f32, (1, 4, 9, 9))).result
    w = nn.WeightOp("w", TensorType(f32, (8, 2, 3, 1))).result
    window = Window((3, 1), stride=(2, 2), padding=(1, 0, 1, 0))
    found = StatementReader().read(nn.Conv2dOp(x, w, None, window=window, groups=2))
    assert found is not None
    assert found.options == {
        "channels": 8,
        "kernel": (3, 1),
        "stride": 2,
        "padding": (1, 0),
        "groups": 2,
        "bias": False,
    }
    found = StatementReader().read(nn.MaxPoolOp(x, window=Window((3, 3), stride=(3, 3), padding=(0, 0, 1, 1))))
    assert found is not None
    assert found.options == {"kernel": 3, "padding": (0, 0, 1, 1)}


def test_an_op_that_no_statement_makes_is_reported():
    network = nn.NetworkOp("one", [("x", TensorType(f32, (1, 2, 4, 4)))], [])
    index = nn.WeightOp("taps.index", TensorType(signed(32), (2,)))
    op = nn.GatherTapsOp(network.body.block.args[0], index.result, window=Window((2, 2)), layer="taps")
    network.body.block.add_ops([index, op, nn.ReturnOp([op.result])])
    with pytest.raises(HapirError) as raised:
        network_text(network)
    assert [d.code for d in raised.value.diagnostics] == ["HAP0970"]
    assert "`taps` (nn.gather_taps)" in raised.value.diagnostics[0].message


def test_a_negative_zero_is_refused_as_it_would_not_read_back():
    network = nn.NetworkOp("one", [("x", TensorType(f32, (1, 4)))], [("y", TensorType(f32, (1, 4)))])
    op = nn.ClipOp(network.body.block.args[0], low=-0.0, high=1.0, layer="c")
    network.body.block.add_ops([op, nn.ReturnOp([op.result])])
    with pytest.raises(HapirError) as raised:
        network_text(network)
    assert [d.code for d in raised.value.diagnostics] == ["HAP0971"]
