"""encode: nothing that is computed changes, and a weights file holds the bytes that the ops report."""

from __future__ import annotations

import json
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from xdsl.dialects.builtin import FloatAttr, IntegerAttr, ModuleOp

from hapir.context import HapirContext
from hapir.diagnostics import HapirError
from hapir.dialects.enc import DecodeOp
from hapir.dialects.nn import NetworkOp, WeightOp
from hapir.dialects.num import element_type
from hapir.encodings.bits import bytes_for
from hapir.lowering.compress.coded_weights import code_weights
from hapir.lowering.compress.encode import EncodePass
from hapir.lowering.constants import constant_value
from hapir.lowering.cut_integer_body import cut
from hapir.lowering.fold_constants import FoldConstantsPass, has_constant_ops
from hapir.lowering.network_edits import layer_name, networks_of, used_keys
from hapir.reference.enc import array_of, symbols_of
from hapir.reference.interpret import run_network
from hapir.registry import HAPIR
from tests.property.integer_networks import IntegerSample, integer_networks
from tests.property.strategies import Sample, networks
from tests.property.test_pass_fold_constants import RULES, weight_slots_of

CHOICES = (*sorted(HAPIR.encodings), "huffman(codebook = model)", "huffman(source = symbols, codebook = model)")


def copied(sample: Sample) -> tuple[ModuleOp, HapirContext]:
    return ModuleOp([sample.network.clone()]), HapirContext(weights=sample.weights.copy())


def codes_of(encode: EncodePass, module: ModuleOp, context: HapirContext) -> list[str]:
    """Encode; the codes of what is wrong, if anything."""
    try:
        encode.apply(context, module)
    except HapirError as error:
        return [d.code for d in error.diagnostics]
    return []


def decodes(network: NetworkOp) -> list[DecodeOp]:
    return [op for op in network.walk() if isinstance(op, DecodeOp)]


@settings(max_examples=60, deadline=None)
@given(networks(), st.sampled_from([None, *sorted(RULES)]), st.sampled_from(CHOICES))
def test_encoding_changes_no_result(sample: Sample, rule: str | None, encoding: str):
    module, context = copied(sample)
    network = networks_of(module)[0]
    if not weight_slots_of(network):
        return
    if rule is not None:
        code_weights(network, "*", context, RULES[rule], rule)
    before = run_network(network, context.weights, sample.inputs())
    if refused := codes_of(EncodePass(encoding), module, context):
        assert refused == ["HAP0551"]  # the encoding asks for zeros or for few values
        return
    module.verify()
    assert decodes(network)
    for name, found in run_network(network, context.weights, sample.inputs()).items():
        np.testing.assert_array_equal(found, before[name])
    check_file(module, context)
    FoldConstantsPass().apply(context, module)
    assert not has_constant_ops(network)
    for name, found in run_network(network, context.weights, sample.inputs()).items():
        np.testing.assert_array_equal(found, before[name])


@settings(max_examples=20, deadline=None)
@given(integer_networks(), st.sampled_from(CHOICES))
def test_a_network_can_be_cut_while_its_weights_are_encoded(sample: IntegerSample, encoding: str):
    module, context = ModuleOp([sample.network.clone()]), HapirContext(weights=sample.weights.copy())
    network = networks_of(module)[0]
    if not weight_slots_of(network) or codes_of(EncodePass(encoding), module, context):
        return
    inputs = sample.inputs(2)
    parts, plain = cut(network), cut(sample.network)
    assert list(map(ends, parts.parts)) == list(map(ends, plain.parts))
    for part in parts.parts:
        part.verify()
    assert len(decodes(network)) == sum(len(decodes(part)) for part in parts.parts) > 0
    found = parts.run(inputs, lambda part, arrays: run_network(part, context.weights, arrays))
    for name, array in run_network(network, context.weights, inputs).items():
        np.testing.assert_array_equal(found[name], array)


def ends(part: NetworkOp) -> list[str]:
    return [name.data for name in (part.sym_name, *part.input_names, *part.result_names)]


def check_file(module: ModuleOp, context: HapirContext) -> None:
    """The file is its header and the arrays; those of the parts have the bytes and the bits that the ops report."""
    weights = context.weights.copy()
    weights.retain(used_keys(module))
    data = weights.to_bytes()
    header = 8 + struct.unpack("<Q", data[:8])[0]
    named = json.loads(data[8:header])
    assert len(data) == header + sum(array.nbytes for array in weights.values())
    assert {key for key in named if key != "__metadata__"} == set(weights)
    shared: set[str] = set()
    for op in decodes(networks_of(module)[0]):
        owners = [part.owner for part in op.parts]
        keys = [owner.key.data for owner in owners if isinstance(owner, WeightOp)]
        array = constant_value(op.result, weights)
        symbols = symbols_of(array, element_type(op.result), as_code(op))
        parts = None if has_shared(op) else op.value.part_bits(symbols)
        sizes = [weights[key].nbytes for key in keys]
        if parts is not None:
            assert sizes == [bytes_for(bits) for bits in parts.values()]
            assert number(op, "bits") == sum(parts.values())
        else:
            shared.add(keys[0])
            assert bytes_for(int(number(op, "shared_bits"))) == sizes[0]
            assert 0 <= 8 * sum(sizes[1:]) - number(op, "bits") < 8 * len(sizes)
        assert number(op, "entropy_bits") == pytest.approx(symbols.entropy_bits)
    assert len(shared) <= 1


def as_code(op: DecodeOp) -> int | None:
    if op.zero is None:
        return None
    tensor = op.tensor
    assert tensor.zero is not None
    found = array_of(np.array([tensor.zero], np.uint32), (1,), element_type(op.result))
    return int(found[0])


def has_shared(op: DecodeOp) -> bool:
    return "shared_bits" in op.attributes


def number(op: DecodeOp, name: str) -> float:
    found = op.attributes[name]
    assert isinstance(found, IntegerAttr | FloatAttr)
    return float(found.value.data)


@settings(max_examples=20, deadline=None)
@given(networks(), st.sampled_from(sorted(RULES)))
def test_the_smallest_file_is_no_larger_than_the_packed_one(sample: Sample, rule: str):
    sizes: dict[str, int] = {}
    for encoding in ("smallest", "dense"):
        module, context = copied(sample)
        network = networks_of(module)[0]
        if not weight_slots_of(network):
            return
        code_weights(network, "*", context, RULES[rule], rule)
        EncodePass(encoding).apply(context, module)
        keys = [part.owner for op in decodes(network) for part in op.parts]
        sizes[encoding] = sum(context.weights[op.key.data].nbytes for op in keys if isinstance(op, WeightOp))
    assert sizes["smallest"] <= sizes["dense"]


@settings(max_examples=20, deadline=None)
@given(networks())
def test_only_the_layers_that_are_named_are_encoded(sample: Sample):
    module, context = copied(sample)
    network = networks_of(module)[0]
    slots = weight_slots_of(network)
    named = [name for slot in slots if (name := layer_name(slot.op))]
    if not named:
        return
    EncodePass("dense", layers=named[0]).apply(context, module)
    expected = {slot.value for slot in weight_slots_of(network) if layer_name(slot.op) == named[0]}
    assert {op.result for op in decodes(network)} == expected
