"""Layers chosen by globs over their names: those that multiply by stored weights, or all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from hapir.diagnostics import did_you_mean, fail, some
from hapir.dialects.nn import NetworkOp
from hapir.dialects.nn_op import LayerOp
from hapir.dialects.nn_products import ProductOp
from hapir.selectors import matches

T = TypeVar("T")


def globs_of(layers: str | Sequence[str]) -> tuple[str, ...]:
    """The option `layers` of a pass: one glob, or several."""
    return (layers,) if isinstance(layers, str) else tuple(layers)


def selected_layers(network: NetworkOp, layers: str | Sequence[str]) -> list[ProductOp]:
    """The convolutions and dense layers that globs name, in order. Raises HapirError (HAP0208) where one names none."""
    found = [(op.layer_name or "", op) for op in network.body.block.ops if isinstance(op, ProductOp)]
    return chosen(network, layers, found, "convolution or dense layer")


def selected_ops(network: NetworkOp, layers: str | Sequence[str]) -> list[LayerOp]:
    """The layers of any kind that globs name, in order. Raises HapirError (HAP0208) where one names none."""
    found = [(op.layer_name or "", op) for op in network.body.block.ops if isinstance(op, LayerOp)]
    return chosen(network, layers, found, "layer")


def chosen(network: NetworkOp, layers: str | Sequence[str], named: Sequence[tuple[str, T]], kind: str) -> list[T]:
    """Those of the named things that globs name, in order. Raises HapirError (HAP0208) where a glob names none."""
    patterns, names = globs_of(layers), [name for name, _ in named]
    for pattern in patterns:
        if not any(matches(name, pattern) for name in names):
            what = f"`{pattern}` selects no {kind} of `{network.sym_name.data}`"
            known = some([f"`{name}`" for name in names if name]) or "none"
            fail("HAP0208", what, at=network, help=did_you_mean(pattern, names) or f"it has {known}")
    return [thing for name, thing in named if any(matches(name, p) for p in patterns)]
