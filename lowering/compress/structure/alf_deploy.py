"""ALF's deployed form: a layer becomes a convolution of few code filters and a 1 x 1 expansion.

Law: lossy. With trained encoders, masks and expansions the result is the training form with its mask fixed, without
the code filters that the mask made zero; without them the code filters are the leading singular vectors, which is the
best that code filters and expansion can do for the weights. A layer with more code filters than
`C_max = floor(C_i C_o K^2 / (C_i K^2 + C_o))` would cost more than before and stays.

```
%y = nn.conv2d %x, %w window <3x3, pad 1 1 1 1> groups 1 layer "c2" : (..., tensor<32x16x3x3xf32>) -> ...
```
becomes with `alf_deploy(layers = "c2", codes = 12)`
```
%h = nn.conv2d %x, %c window <3x3, pad 1 1 1 1> groups 1 layer "c2.basis" : (..., tensor<12x16x3x3xf32>) -> ...
%y = nn.conv2d %h, %e window <1x1> groups 1 layer "c2" : (..., tensor<32x12x1x1xf32>) -> ...
```
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.passes import ModulePass

from hapir.bounds import bounded, check_bounds
from hapir.context import hapir_context
from hapir.diagnostics import fail
from hapir.factorizations import alf, svd
from hapir.factorizations.stages import Floats
from hapir.factorizations.svd import Svd
from hapir.lowering.compress.structure.factored_layers import Chain, Target, factor_layers
from hapir.lowering.network_edits import networks_of
from hapir.weights import Array, load_arrays

PARTS = ("encoder", "mask", "expansion")
"""What the arrays of a trained layer are called, behind its name."""


@dataclass(frozen=True)
class AlfDeployPass(ModulePass):
    """Deploy autoencoder-based low-rank filter sharing (Frickenstein et al., DAC 2020). Lossy.

    `layers`: names of layers, or patterns like `c*`; convolutions without groups and dense layers among them are
        changed.
    `codes`: code filters per layer; without it as many as `energy` needs, and no layer gets more than C_max.
    `energy`: the share of squared singular values that the code filters keep.
    `trained`: a file with the arrays `<layer>.encoder` (C_o x C_code), `<layer>.mask` (C_code) and `<layer>.expansion`
        (C_o x C_code) of each layer that was trained so; other layers stay. `codes` and `energy` are not used then.
    `encoder`: what the trained encoder ends in.
    `zeta`: mask entries smaller than this are zero.
    `inner`: what stands between the code convolution and the expansion.

    Example: `alf_deploy(layers = "c*", energy = 80 %)`
    """

    name = "alf_deploy"
    layers: str | tuple[str, ...] = "*"
    codes: int | None = field(default=None, metadata=bounded(at_least=1))
    energy: float = field(default=0.9, metadata=bounded(above=0, at_most=1))
    trained: str | None = None
    encoder: Literal["tanh", "none"] = "tanh"
    zeta: float = field(default=1e-4, metadata=bounded(at_least=0))
    inner: Literal["none", "relu"] = "none"

    def __post_init__(self) -> None:
        check_bounds(self, self.name)
        if self.inner == "relu" and self.trained is None:
            raise ValueError("`inner = relu` of alf_deploy needs expansions that were trained for it: give `trained`")

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        """Rewrite every network in place. Raises HapirError as `factor_layers`, and HAP0401, HAP0573 for the file."""
        context = hapir_context(ctx)
        arrays = None if self.trained is None else load_arrays(context.data_file(self.trained))
        if arrays is not None and not any(name.endswith(tuple(f".{part}" for part in PARTS)) for name in arrays):
            what = f"`{self.trained}` holds no array of a trained layer, such as `c1.encoder`"
            fail("HAP0573", what, help=f"it holds {', '.join(arrays) or 'nothing'}")

        def rule(target: Target) -> Chain | None:
            chain = self._fitted(target) if arrays is None else self._trained(target, arrays)
            limit = alf.largest_code(target.filters)
            return chain if chain is not None and chain[0].shape.filters[0] <= limit else None

        for network in networks_of(op):
            rectified = self.inner == "relu"
            factor_layers(network, self.layers, context.weights, rule, veto="none", rectified=rectified)

    def _fitted(self, target: Target) -> Chain:
        found = Svd.of(svd.matrix_of(target.w, "output"))
        codes = found.rank_for_energy(self.energy) if self.codes is None else min(self.codes, len(found.values))
        return svd.chain(target.filters, "output", found, codes)

    def _trained(self, target: Target, arrays: Mapping[str, Array]) -> Chain | None:
        names = {part: f"{target.name}.{part}" for part in PARTS}
        if not any(name in arrays for name in names.values()):
            return None
        parts = {part: _array(arrays, name, self.trained or "") for part, name in names.items()}
        outputs, codes = len(target.w), parts["mask"].size
        for part, shape in (("encoder", (outputs, codes)), ("mask", (codes,)), ("expansion", (outputs, codes))):
            if parts[part].shape != shape or codes == 0:
                what = f"`{names[part]}` has shape {parts[part].shape}, the layer needs {shape}"
                fail("HAP0573", what, help="C_o is the layer's number of filters, C_code the length of the mask")
        coded = alf.code_filters(target.w, parts["encoder"], parts["mask"], self.zeta, self.encoder)
        return alf.deployed(coded, parts["expansion"])


def _array(arrays: Mapping[str, Array], name: str, file: str) -> Floats:
    """An array of the file as float64. Raises HapirError (HAP0573) where it is missing or not of finite numbers."""
    if name not in arrays:
        fail("HAP0573", f"`{file}` holds no array `{name}`", help="store encoder, mask and expansion of the layer")
    array = arrays[name].astype(np.float64)
    if not np.isfinite(array).all():
        fail("HAP0573", f"`{name}` holds infinities or not-a-number", help="train it again")
    return array
