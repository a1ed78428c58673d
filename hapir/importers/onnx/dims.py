"""The sizes of a model's inputs: what the file leaves open is said by the user.

The batch is any axis that is called so (`N`, `batch`, `batch_size`, ...) and the first axis of an input where it has
no name, or one that an exporter made up; it is 1 where nobody says more. Every other open axis has the name that the
model gives it, or `input.axis`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import onnx

from hapir.diagnostics import Diagnostic, did_you_mean, fail, some
from hapir.importers.onnx.limits import MAXIMUM_RANK, count_of, shown
from hapir.spec.tensor_types import MAXIMUM_SIZE

_BATCH = re.compile(r"n|b|bs|none|\?|unk_*\d+|.*batch.*", re.IGNORECASE)
_MADE_UP = re.compile(r"DynamicDimension\.\d+|.*_dynamic_axes_\d+|s\d+")
"""What Paddle and PyTorch call an axis that has no name of its own."""


def input_shapes(
    inputs: Sequence[onnx.ValueInfoProto], batch: int | None, dims: Mapping[str, int]
) -> tuple[dict[str, tuple[int, ...]], list[Diagnostic]]:
    """The shape of each input, and notes on what was chosen (HAP0917).

    Raises HapirError: HAP0906 for absurd sizes, HAP0911 for an axis that stays open, HAP0912 for a batch or a dimension
    that fits nothing, HAP0916 for an input whose number of axes is unknown.
    """
    for name, size in [("the batch", batch or 1), *((f"the dimension {shown(d)}", s) for d, s in dims.items())]:
        if not 1 <= size <= MAXIMUM_SIZE:
            fail("HAP0912", f"{name} is {size}", help=f"a size is a whole number in 1..{MAXIMUM_SIZE}")
    open_axes = {info.name: _open_axes(info) for info in inputs}
    known = {name for axes in open_axes.values() for name in axes.values()}
    for name in dims:
        if name not in known:
            listed = f"the open dimensions are {some(sorted(known), 8)}" if known else "the model leaves none open"
            help = did_you_mean(name, known) or listed
            fail("HAP0912", f"no input has an open dimension {shown(name)}", help=help)
    notes: dict[Diagnostic, None] = {}
    shapes: dict[str, tuple[int, ...]] = {}
    free = False
    for info in inputs:
        shape: list[int] = []
        for axis, dim in enumerate(info.type.tensor_type.shape.dim):
            name = open_axes[info.name].get(axis)
            if name is None:
                shape.append(dim.dim_value)
            elif name in dims:
                shape.append(dims[name])
            elif _is_batch(name, axis, dim):
                free = True
                if batch is None:
                    what = f"the batch {shown(name)} is open in the model and becomes 1"
                    notes[Diagnostic("HAP0917", what, help="`--batch N` chooses another", severity="note")] = None
                shape.append(batch or 1)
            else:
                help = f"choose its size: `--dim {name}=N`"
                fail("HAP0911", f"axis {axis} of the input {shown(info.name)} is open ({shown(name)})", help=help)
        count_of(shape, f"the input {shown(info.name)}")
        shapes[info.name] = tuple(shape)
    if batch is not None and not free and not all(shape[:1] == (batch,) for shape in shapes.values()):
        fixed = some([f"{shown(name)} has {shape[0]}" for name, shape in shapes.items() if shape], 4)
        help = f"leave `--batch` out, or export the model with an open batch ({fixed})"
        fail("HAP0912", f"the batch cannot be {batch}: the model says how large it is", help=help)
    return shapes, list(notes)


def _open_axes(info: onnx.ValueInfoProto) -> dict[int, str]:
    """The axes of an input without a size, by what `--dim` calls them."""
    tensor = info.type.tensor_type
    if not tensor.HasField("shape"):
        help = "export the model with the shapes of its inputs"
        fail("HAP0916", f"the input {shown(info.name)} has no shape, not even a number of axes", help=help)
    if len(tensor.shape.dim) > MAXIMUM_RANK:
        count_of([1] * len(tensor.shape.dim), f"the input {shown(info.name)}")
    return {
        axis: dim.dim_param or f"{info.name}.{axis}"
        for axis, dim in enumerate(tensor.shape.dim)
        if not dim.HasField("dim_value") or dim.dim_value in (0, -1)  # how older exporters write an open axis
    }


def _is_batch(name: str, axis: int, dim: onnx.TensorShapeProto.Dimension) -> bool:
    """Whether an open axis is the batch: called so, or the first one without a name of its own."""
    if not dim.dim_param or _MADE_UP.fullmatch(name):
        return axis == 0
    return bool(_BATCH.fullmatch(name))
