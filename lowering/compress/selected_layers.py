"""Layers that multiply by stored weights, chosen by globs over their names."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

from hapir.diagnostics import did_you_mean, fail
from hapir.dialects.nn import NetworkOp
from hapir.dialects.nn_multiplied import MultipliedOp


def selected_layers(network: NetworkOp, layers: str | Sequence[str]) -> list[MultipliedOp]:
    """The convolutions and dense layers that globs name, in order. Raises HapirError (HAP0208) where one names none."""
    patterns = (layers,) if isinstance(layers, str) else tuple(layers)
    found = [op for op in network.body.block.ops if isinstance(op, MultipliedOp)]
    names = [op.layer_name or "" for op in found]
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in names):
            what = f"`{pattern}` selects no convolution or dense layer of `{network.sym_name.data}`"
            known = ", ".join(f"`{name}`" for name in names if name) or "none"
            fail("HAP0208", what, at=network, help=did_you_mean(pattern, names) or f"it has {known}")
    return [op for op, name in zip(found, names, strict=True) if any(fnmatchcase(name, p) for p in patterns)]
