"""Text of a network read again: it must say the network that it was made of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from xdsl.dialects.builtin import StringAttr
from xdsl.ir import Operation, SSAValue

from hapir.diagnostics import Findings, HapirError
from hapir.dialects import nn, num
from hapir.dialects.num import element_type, table_key
from hapir.importers.statements import keyless
from hapir.spec import syntax
from hapir.spec.networks import NetworkBuilder
from hapir.spec.parse import parse
from hapir.spec.program import declare


@dataclass(frozen=True)
class NetworkText:
    """A network as text.

    `layers` tells the new name of each layer by its old one, `order` the new names in the order of computation.
    `weights` tells the old key of each new one: parameters that layers share are stored for each, so one old key may
    have several new ones. `inputs` and `results` are new names, in order.
    """

    text: str
    file: syntax.File
    name: str
    layers: Mapping[str, str]
    order: tuple[str, ...]
    weights: Mapping[str, str]
    inputs: tuple[str, ...]
    results: tuple[str, ...]


def is_layer(op: Operation) -> bool:
    """Whether an op of a network is a layer: not a parameter or number that layers take, nor the end."""
    implied = isinstance(op, num.DequantizeOp) and isinstance(op.q.owner, nn.WeightOp)
    return not (implied or isinstance(op, nn.WeightOp | nn.FillOp | nn.ReturnOp))


def layer_name(op: Operation) -> str | None:
    """The name of a layer, if it has one."""
    layer = op.properties.get("layer")
    return layer.data if isinstance(layer, StringAttr) else None


def old_name(op: Operation, place: int) -> str:
    """What the maps of a text call a layer or constant of the network: its name, or its place."""
    name = stem_of(op.key.data) if isinstance(op, nn.WeightOp) else layer_name(op)
    return name or f"#{place + 1}"


def stem_of(key: str) -> str:
    """The name of a constant with this key."""
    return key.removesuffix(".value")


def read_text(written: NetworkText) -> nn.NetworkOp:
    """The network that a text says. Raises HapirError for what is wrong in it."""
    findings = Findings()
    program = declare([parse(written.text, written.file.name)], findings)
    network = NetworkBuilder(program.networks[written.name], findings, program=program).build()
    findings.raise_errors()
    return network


def different(network: nn.NetworkOp, written: NetworkText) -> str | None:
    """How the text differs from the network whose text it is, but for the names in its maps; None where it does not."""
    try:
        again = read_text(written)
    except HapirError as error:
        return f"its text is refused: {error.diagnostics[0].message}"
    for index, (mine, theirs) in enumerate(
        zip(_described(network, written), _described(again, keys=written.weights), strict=False)
    ):
        if mine != theirs:
            return f"part {index} reads back as {theirs}, not {mine}"
    sizes = [sum(map(is_layer, op.body.block.ops)) for op in (network, again)]
    return None if sizes[0] == sizes[1] else f"it reads back with {sizes[1]} layers, not {sizes[0]}"


def _described(
    network: nn.NetworkOp, written: NetworkText | None = None, keys: Mapping[str, str] | None = None
) -> Iterator[object]:
    """What makes a network, part by part: all but locations and the places of parameters.

    Names are those that a text gives, or the network's own; keys are looked up in `keys` where that is given.
    """
    yield written.inputs if written else tuple(n.data for n in network.input_names)
    yield written.results if written else tuple(n.data for n in network.result_names)
    yield str(network.function_type)
    values: dict[SSAValue, object] = {v: n for n, v in enumerate(network.body.block.args)}
    place = 0
    for op in network.body.block.ops:
        if isinstance(op, nn.ReturnOp):
            yield [values[v] for v in op.values]
        elif isinstance(op, nn.WeightOp):
            own = [op.key.data, table_key(element_type(op.result))]
            values[op.result] = [k if keys is None or k is None else keys.get(k) for k in own]
        elif isinstance(op, nn.FillOp):
            values[op.result] = op.value
        elif not is_layer(op):
            values[op.results[0]] = ("reals", values[op.operands[0]])
        else:
            name = written.order[place] if written else layer_name(op)
            said = {n: a for n, a in (op.properties | op.attributes).items() if n != "layer"}
            operands = [(values[v], keyless(v.type)) for v in op.operands]
            yield op.name, name, said, operands, [keyless(v.type) for v in op.results]
            values.update((result, (place, which)) for which, result in enumerate(op.results))
            place += 1
