"""CSG, the convolutional slice generator: the slices of all layers come from short codes and one shared matrix.

Law: lossy; matrix and codes are the truncated singular value decomposition of all slices, so that no generator with
codes of this length has a smaller squared error: it is the sum of the squares of the dropped singular values, where
slices divide the layers. Codes as long as the slices' rank change nothing but the rounding to f32. Parameters are
counted exactly: `others + slices * code + prod(slice) * code`. The codes of each layer say what it lost.

```
%w = nn.weight "c2.weight" : tensor<32x16x3x3xf32>
```
becomes with `csg(layers = "c*", slice = [4, 4, 3, 3], code = 24)`
```
%a = nn.weight "csg.matrix" : tensor<144x24xf32>      // shared by all layers
%c = nn.weight "c2.weight.codes" {max_error = 0.2 : f64, sqnr_db = 6.1 : f64} : tensor<32x24xf32>
%w = enc.csg_generate %c, %a slice [4, 4, 3, 3] : ... -> tensor<32x16x3x3xf32>
```
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Literal

import numpy as np
from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp, f32
from xdsl.passes import ModulePass

from hapir.bounds import bounded, check_bounds
from hapir.context import HapirContext, hapir_context
from hapir.diagnostics import fail
from hapir.dialects import nn
from hapir.dialects.enc_slices import CsgGenerateOp
from hapir.dialects.num import shape_of
from hapir.factorizations.csg import SliceGenerator, codes_for, parameter_count, project
from hapir.factorizations.dct import advise
from hapir.factorizations.slices import Bank, Shape, csg_generated, join, slice_count
from hapir.factorizations.stages import Floats
from hapir.lowering.compress.coded_weights import losses
from hapir.lowering.compress.structure.sliced_layers import SlicedLayer, check_slice, insert_shared, sliced_layers
from hapir.lowering.network_edits import (
    as_f32,
    erase_unused_weights,
    insert_before,
    insert_weight,
    networks_of,
    parameter_key,
    weight_op_of,
)
from hapir.weights import load_arrays


@dataclass(frozen=True)
class CsgPass(ModulePass):
    """Generate the weights of layers from codes and one matrix (UCSD thesis, chapter 5). Lossy; least squares.

    `layers`: names of layers, or patterns like `c*`; those whose weights have as many axes as a slice are compressed.
    `slice`: the sizes of a slice: output channels, input channels, rows and columns of a convolution. Slices that reach
        beyond a layer are cropped.
    `code`: how many numbers a slice's code has; without it the cosine transform's coefficients that `psnr` needs.
    `psnr`: the mean peak signal-to-noise ratio, in dB, that the rule for the code length asks for.
    `matrix`: a file with an array `matrix`, prod(slice) x n_c, to use instead of the best one: another network's.
    `keep_first`: leave the first layer of the network as it is.
    `veto`: leave a layer as it is unless its codes are fewer numbers than its weights, and stop (HAP0571) where codes
        and matrix together are no fewer than all the weights.

    Example: `csg(layers = "c*", slice = [4, 4, 3, 3], code = 48)`
    """

    name = "csg"
    layers: str | tuple[str, ...] = "*"
    slice: tuple[int, ...] = field(default=(16, 16, 3, 3), metadata=bounded(at_least=1))
    code: int | None = field(default=None, metadata=bounded(at_least=1))
    psnr: float = field(default=20.0, metadata=bounded(above=0))
    matrix: str | None = None
    keep_first: bool = True
    veto: Literal["parameters", "none"] = "parameters"

    def __post_init__(self) -> None:
        check_bounds(self, self.name)
        check_slice(self.slice)
        if self.code is not None and self.matrix is not None:
            raise ValueError("csg takes `code` or `matrix`: a matrix has the length of its codes")

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        """Rewrite every network in place. Raises HapirError as `sliced_layers`, and HAP0401, HAP0575 for the file."""
        context = hapir_context(ctx)
        for network in networks_of(op):
            self._generate(network, context)
            erase_unused_weights(network)

    def _generate(self, network: nn.NetworkOp, context: HapirContext) -> None:
        given = None if self.matrix is None else self._given_matrix(context)
        shortest = self.code or (1 if given is None else given.shape[1])

        def pays(shape: Shape, code: int = shortest) -> bool:
            return self.veto == "none" or slice_count(shape, self.slice) * code < prod(shape)

        layers = sliced_layers(network, self.layers, self.slice, context.weights, keep_first=self.keep_first, pays=pays)
        banks = [layer.stored for layer in layers]
        if given is None:
            code = self.code or self._advised(banks)
            self._check_size(layers[0].op, banks, code)
            generator = project(banks, self.slice, code)
        else:
            generator = SliceGenerator(given, codes_for(banks, self.slice, given))
        self._insert(layers, generator, context)

    def _advised(self, banks: Sequence[Bank]) -> int:
        return advise(banks, self.slice, self.psnr).code

    def _check_size(self, op: nn.ProductOp, banks: Sequence[Bank], code: int) -> None:
        """Raise HapirError (HAP0571) where codes and matrix are no fewer numbers than all weights they stand for."""
        weights, slices = sum(w.size for w in banks), sum(slice_count(w.shape, self.slice) for w in banks)
        numbers = parameter_count(0, slices, self.slice, code)
        if self.veto != "none" and numbers >= weights:
            what = f"codes of {code} numbers and their matrix are {numbers} numbers for {weights} weights"
            fail("HAP0571", what, at=op, help="use shorter codes or smaller slices, or give `veto = none`")

    def _given_matrix(self, context: HapirContext) -> Floats:
        """The matrix of the file. Raises HapirError (HAP0575) where it is missing, misshapen or not finite."""
        assert self.matrix is not None
        arrays = load_arrays(context.data_file(self.matrix))
        if "matrix" not in arrays:
            fail("HAP0575", f"`{self.matrix}` holds no array `matrix`", help=f"it holds {', '.join(arrays) or 'none'}")
        matrix, rows = arrays["matrix"], prod(self.slice)
        if matrix.ndim != 2 or len(matrix) != rows or matrix.shape[1] == 0 or not np.isfinite(matrix).all():
            what = f"the matrix of `{self.matrix}` has shape {matrix.shape}"
            fail("HAP0575", what, help=f"it must be finite numbers, {rows} rows and a column per number of a code")
        return matrix.astype(np.float32).astype(np.float64)

    def _insert(self, layers: Sequence[SlicedLayer], generator: SliceGenerator, context: HapirContext) -> None:
        weights = context.weights
        matrix = as_f32(generator.matrix, "csg.matrix", layers[0].op)
        shared = insert_shared(layers[0].op, "csg.matrix", matrix, f32, weights)
        for layer, codes in zip(layers, generator.codes, strict=True):
            op, key = layer.op, f"{parameter_key(layer.op.w)}.codes"
            stored = as_f32(codes, key, op)
            value = insert_weight(op, key, stored, f32, weights)
            slices = as_f32(csg_generated(stored.astype(np.float64), matrix.astype(np.float64)), key, op)
            weight_op_of(value).attributes.update(losses(layer.w, join(slices, shape_of(op.w), self.slice)))
            generate = CsgGenerateOp(value, shared, self.slice, shape_of(op.w))
            generate.result.name_hint = op.w.name_hint
            insert_before(op, [generate])
            op.operands[1] = generate.result
