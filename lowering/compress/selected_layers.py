"""Layers that multiply by stored weights, chosen by globs over their names."""

from __future__ import annotations

from collections.abc import Sequence

from hapir.diagnostics import did_you_mean, fail, some
from hapir.dialects.nn import NetworkOp
from hapir.dialects.nn_products import ProductOp
from hapir.selectors import matches


def globs_of(layers: str | Sequence[str]) -> tuple[str, ...]:
    """The option `layers` of a pass: one glob, or several."""
    return (layers,) if isinstance(layers, str) else tuple(layers)


def selected_layers(network: NetworkOp, layers: str | Sequence[str]) -> list[ProductOp]:
    """The convolutions and dense layers that globs name, in order. Raises HapirError (HAP0208) where one names none."""
    patterns = globs_of(layers)
    found = [op for op in network.body.block.ops if isinstance(op, ProductOp)]
    names = [op.layer_name or "" for op in found]
    for pattern in patterns:
        if not any(matches(name, pattern) for name in names):
            what = f"`{pattern}` selects no convolution or dense layer of `{network.sym_name.data}`"
            known = some([f"`{name}`" for name in names if name]) or "none"
            fail("HAP0208", what, at=network, help=did_you_mean(pattern, names) or f"it has {known}")
    return [op for op, name in zip(found, names, strict=True) if any(matches(name, p) for p in patterns)]
