"""What onnx says of an operator: whether a node has the inputs, outputs and attributes that it must have.

Only the tables of onnx are asked. Its shape inference is not: on hostile nodes it ends the process (a wrong `split` of
`Split`, a wrong `axis` of `LayerNormalization`) or never ends (`Einsum`), which no caller can catch. The ops of the IR
infer all shapes while nodes are converted, and shape arithmetic is folded then (see `fold`).
"""

from __future__ import annotations

from functools import cache
from typing import Any, cast

import onnx

from hapir.diagnostics import did_you_mean, fail
from hapir.importers.onnx.limits import shown
from hapir.importers.onnx.load import domain_of
from hapir.spec.tensor_types import MAXIMUM_SIZE

_COUNTS = ("strides", "dilations", "kernel_shape", "group", "num_outputs", "hidden_size", "blocksize")
"""Attributes that are at least 1."""
_AGAIN = "the file is damaged; export the model again"
_ANY = onnx.defs.OpSchema


@cache
def schema_of(op: str, version: int, domain: str) -> onnx.defs.OpSchema | None:
    """What onnx knows of an operator in this version; None where it does not know it."""
    try:
        return onnx.defs.get_schema(op, version, domain)
    except onnx.defs.SchemaError:
        return None


def check_node(node: onnx.NodeProto, schema: onnx.defs.OpSchema | None, what: str) -> None:
    """Raise HapirError (HAP0913) where a node has not the inputs, outputs and attributes that its operator has.

    Of an operator that onnx does not know, attributes are only compared with each other.
    """
    seen: set[str] = set()
    for attribute in node.attribute:
        if attribute.name in seen:
            fail("HAP0913", f"{what} has the attribute {shown(attribute.name)} twice", help=_AGAIN)
        seen.add(attribute.name)
        if attribute.ref_attr_name:
            fail("HAP0913", f"{what} takes {shown(attribute.name)} from a function it is not in", help=_AGAIN)
        for value in (attribute.i, *attribute.ints) if attribute.name in _COUNTS else ():
            if attribute.type in (onnx.AttributeProto.INT, onnx.AttributeProto.INTS) and not _is_count(attribute):
                fail("HAP0913", f"{what} has {shown(attribute.name)} {value}", help=f"from 1 to {MAXIMUM_SIZE}")
    if schema is None:
        return
    for kind, names, least, most in (
        ("input", node.input, schema.min_input, schema.max_input),
        ("output", node.output, schema.min_output, schema.max_output),
    ):
        if not least <= len(names) <= most:
            wanted = f"{least} to {most}" if least < most < MAXIMUM_SIZE else f"at least {least}"
            fail("HAP0913", f"{what} has {len(names)} {kind}s, not {wanted}", help=_AGAIN)
    for index, name in enumerate(node.input):
        if not name and index < len(schema.inputs) and schema.inputs[index].option == _ANY.FormalParameterOption.Single:
            fail("HAP0913", f"{what} leaves out its input `{schema.inputs[index].name}`", help=_AGAIN)
    _check_attributes(node, schema, what)


def _is_count(attribute: onnx.AttributeProto) -> bool:
    values = [attribute.i] if attribute.type == onnx.AttributeProto.INT else attribute.ints
    return all(1 <= value <= MAXIMUM_SIZE for value in values)


def _check_attributes(node: onnx.NodeProto, schema: onnx.defs.OpSchema, what: str) -> None:
    known = schema.attributes
    for attribute in node.attribute:
        if attribute.name not in known:
            if attribute.name.startswith("__"):  # for tools of their own; onnx passes over them as well
                continue
            help = did_you_mean(attribute.name, known) or _AGAIN
            fail("HAP0913", f"{what} has no attribute {shown(attribute.name)}", help=help)
        wanted = cast(Any, known[attribute.name].type).name
        given = attribute_kind(attribute)
        if given != wanted:
            said = f"{what} has {given.lower()} for the attribute {shown(attribute.name)}"
            fail("HAP0913", f"{said}, not {wanted.lower()}", help=_AGAIN)
    given_names = {attribute.name for attribute in node.attribute}
    for name, described in known.items():
        if described.required and name not in given_names:
            fail("HAP0913", f"{what} lacks the attribute `{name}`", help=_AGAIN)


def attribute_kind(attribute: onnx.AttributeProto) -> str:
    """The kind of an attribute as onnx calls it: INT, FLOATS, ..."""
    kinds = onnx.AttributeProto.AttributeType
    return kinds.Name(attribute.type) if attribute.type in kinds.values() else "UNDEFINED"


def described(node: onnx.NodeProto) -> str:
    """A node as messages call it: its operator, and its name or that of its first output."""
    domain = domain_of(node.domain)
    op = shown(f"{domain}.{node.op_type}" if domain else node.op_type).strip("`")
    name = node.name or next((output for output in node.output if output), "")
    return f"{op} {shown(name)}" if name else op
