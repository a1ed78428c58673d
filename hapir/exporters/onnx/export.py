"""A network and its weights as an ONNX model.

Styles and what they promise, measured by `tests/property/test_export_*`:

- `float`: networks of floats in the operators of ONNX. Equal to the reference within the tolerance of floats.
- `qdq`: integers as QuantizeLinear and DequantizeLinear around operators on floats. Scales are chosen so that a runtime
  that computes on integers multiplies a sum by hapir's own factor (see `units`), but it multiplies in f32 and rounds
  ties to even: each requantization may differ by 1 LSB, which later layers may carry on. Ops that move or compare codes
  are exact.
- `qonnx`: the same with the nodes of QONNX (`Quant`, `BipolarQuant`, and `MultiThreshold` for thresholds; a Quant with
  the rounding FLOOR says what Trunc says), for codes of any width. Everything is f32, with the same promise.
- `integer`: ConvInteger, MatMulInteger and arithmetic on int64 and doubles. Bit for bit what the reference computes, in
  any runtime that keeps to the standard; layers of floats within their tolerance.

`dataflow.layer`s are opened. Batch: as declared, or left open (`any_batch`) where no op mixes items.
"""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Operation

from hapir.diagnostics import Diagnostic, HapirError, fail, span_of
from hapir.dialects import dataflow, nn, num
from hapir.dialects.num import element_type
from hapir.exporters.onnx import proto
from hapir.exporters.onnx.builder import Builder
from hapir.exporters.onnx.calls import Call, writers
from hapir.exporters.onnx.proto import Proto
from hapir.exporters.onnx.styles import DEFAULT_OPSET, OLDEST_OPSET, Style, Unsayable
from hapir.exporters.onnx.units import accumulator_units
from hapir.lowering.network_edits import layer_name
from hapir.versions import versions
from hapir.weights import WeightStore

SILENT = (nn.WeightOp, nn.ReturnOp)
"""Ops that become no node: arrays are written where they are read."""

REASONS: dict[str, str] = {
    "enc.decode": "encoded weights are no tensors of ONNX",
    "enc.csg_generate": "weights generated slice by slice are no tensors of ONNX",
    "enc.bsg_generate": "weights generated slice by slice are no tensors of ONNX",
}
"""Why ops cannot be written, by their names."""

DECODE = "export what is decoded: `Scheduled.decoded`, which `hapir export` does"


@dataclass(frozen=True)
class ExportOptions:
    """How a network is written.

    `style` None is `qdq` for a network with integers and `float` for any other.
    """

    style: Style | None = None
    opset: int = DEFAULT_OPSET
    any_batch: bool = False


DEFAULT = ExportOptions()


def export_network(network: nn.NetworkOp, weights: WeightStore, options: ExportOptions = DEFAULT) -> Proto:
    """The model of a network.

    Raises HapirError: HAP0980 with a diagnostic per op that ONNX cannot say, HAP0981 for an opset out of range,
    HAP0982 for a batch that cannot be open, HAP0983 for integers in the style `float`, HAP0402 for missing weights.
    """
    if not OLDEST_OPSET <= options.opset <= proto.NEWEST_OPSET:
        known = f"{OLDEST_OPSET} to {proto.NEWEST_OPSET}"
        fail("HAP0981", f"there is no export for opset {options.opset}", help=f"opsets {known} are known")
    opened = open_layers(network)
    if options.any_batch:
        _check_batch(opened)
    style = style_of(opened, options.style)
    if style == Style.FLOAT:
        _check_floats(opened)
    builder = Builder(opened, weights, style, options.opset, options.any_batch)
    if style in (Style.QDQ, Style.QONNX):
        builder.units = accumulator_units(opened, weights)
    found: list[Diagnostic] = []
    for op in opened.body.block.ops:
        if isinstance(op, SILENT):
            continue
        try:
            _write(op, builder)
        except Unsayable as error:
            found.append(_diagnostic(op, error))
            for result in op.results:
                builder.give_up(result)  # what depends on it is not reported again
    if found:
        raise HapirError(found)
    return builder.finish(opened.sym_name.data, versions()["hapir"])


def _write(op: Operation, builder: Builder) -> None:
    writer = writers().get(type(op))
    if writer is None:
        reason = REASONS.get(op.name, "ONNX has no operator for it")
        raise Unsayable(reason, DECODE if op.name in REASONS else None)
    writer(Call(op, builder))


def _diagnostic(op: Operation, error: Unsayable) -> Diagnostic:
    name = layer_name(op)
    what = f"`{op.name}`" + (f" of the layer `{name}`" if name else "")
    return Diagnostic("HAP0980", f"cannot export {what}: {error.reason}", span_of(op.location), (), error.help)


def style_of(network: nn.NetworkOp, asked: Style | None) -> Style:
    """The style that is asked for, or the one that says this network."""
    return asked or (Style.QDQ if has_integers(network) else Style.FLOAT)


def has_integers(network: nn.NetworkOp) -> bool:
    """Whether a network computes on codes: an input is quantized, or an op of `num` converts something."""
    coded = any(isinstance(element_type(argument), num.CODED) for argument in network.body.block.args)
    return coded or any(op.name.startswith("num.") for op in network.body.walk())


def _check_floats(network: nn.NetworkOp) -> None:
    """Raise HapirError (HAP0983) for a network with integers in the style `float`."""
    if has_integers(network):
        op = next((op for op in network.body.walk() if op.name.startswith("num.")), network)
        what = f"the style `float` says networks of floats, and `{network.sym_name.data}` computes on integers"
        fail("HAP0983", what, at=op, help="ask for `--style qdq`, or for the floats with `--recipe none`")


def open_layers(network: nn.NetworkOp) -> nn.NetworkOp:
    """A copy of a network without `dataflow.layer`: the ops of each stand in its place."""
    opened = network.clone()
    block = opened.body.block
    for layer in [op for op in block.ops if isinstance(op, dataflow.LayerOp)]:
        body = layer.body.block
        for argument, operand in zip(body.args, layer.inputs, strict=True):
            argument.replace_all_uses_with(operand)
        end = body.last_op
        assert isinstance(end, dataflow.YieldOp)
        values = list(end.values)
        end.detach()
        end.erase()
        for op in list(body.ops):
            op.detach()
            block.insert_op_before(op, layer)
        for result, value in zip(layer.outputs, values, strict=True):
            result.replace_all_uses_with(value)
        layer.detach()
        layer.erase()
    return opened


def _check_batch(network: nn.NetworkOp) -> None:
    """Raise HapirError (HAP0982) where an op mixes items."""
    op = nn.first_mixing(network)
    if op is not None:
        what = f"the batch cannot be left open: `{op.name}` works across items"
        fail("HAP0982", what, at=op, help="export the declared batch")


def export_module(module: ModuleOp, weights: WeightStore, options: ExportOptions = DEFAULT) -> Proto:
    """The model of the only network of a module. Raises HapirError as `export_network`."""
    (network,) = (op for op in module.body.block.ops if isinstance(op, nn.NetworkOp))
    return export_network(network, weights, options)


def model_files(model: Proto, name: str, external: bool = False) -> dict[str, bytes]:
    """The files of a model by name: itself, and its arrays beside it where it is past 2 GB or that is asked for."""
    files: dict[str, bytes] = {}
    if external or proto.array_bytes(model) > proto.LARGEST_FILE:
        data = f"{name}.data"
        files[data] = proto.move_arrays_out(model, data)
    return {**files, name: model.SerializeToString(deterministic=True)}
