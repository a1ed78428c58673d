"""BSG, the binary slice generator: slices are whole numbers that come from bits, one code per slice and one vector.

Law: lossy; weights are `scale * W` with whole numbers W of at most the code's length, as a circulant matrix of signs
makes them, and no step of the fit raises a layer's squared error, which is at most that of zero weights. Bits are
counted exactly: (slices + 1) * code, in 16-bit words. The codes of each layer say what it lost.

```
%w = nn.weight "c2.weight" : tensor<32x16x3x3xf32>
```
becomes with `bsg(layers = "c2", slice = [4, 4, 3, 3], code = 128)`
```
%b = nn.weight "bsg.vector" : tensor<8xui16>             // shared by all layers
%c = nn.weight "c2.weight.codes" {max_error = 0.4 : f64, sqnr_db = 4.1 : f64} : tensor<32x8xui16>
%w = enc.bsg_generate %c, %b length 128 slice [4, 4, 3, 3] scale 0.0087 polarity "xnor" : ... -> tensor<32x16x3x3xf32>
```
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod
from typing import Literal

import numpy as np
from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.passes import ModulePass

from hapir.bounds import bounded, check_bounds
from hapir.context import hapir_context
from hapir.dialects import nn
from hapir.dialects.enc_slices import BsgGenerateOp
from hapir.dialects.num import unsigned
from hapir.factorizations import bsg
from hapir.factorizations.slices import Shape, join, slice_count
from hapir.factorizations.stages import Floats
from hapir.lowering.compress.coded_weights import losses
from hapir.lowering.compress.structure.sliced_layers import check_slice, insert_shared, sliced_layers
from hapir.lowering.network_edits import (
    as_f32,
    erase_unused_weights,
    insert_before,
    insert_weight,
    networks_of,
    parameter_key,
    weight_op_of,
)
from hapir.weights import WeightStore


@dataclass(frozen=True)
class BsgPass(ModulePass):
    """Generate the weights of layers from bits (UCSD thesis, chapter 5). Lossy; fitted to trained weights, not trained.

    `code`: bits per slice; as many as a slice has weights, or more, give a fair fit.
    `layers`: names of layers, or patterns like `c*`; those whose weights have as many axes as a slice are compressed.
    `slice`: the sizes of a slice: output channels, input channels, rows and columns of a convolution. Slices that reach
        beyond a layer are cropped.
    `iterations`: how often bits are flipped to a standstill and the layer's scale fitted again.
    `seed`: draws the vector of signs.
    `polarity`: whether equal bits count +1, or unequal ones as the thesis prints it, which negates all numbers.
    `keep_first`: leave the first layer of the network as it is.
    `veto`: leave a layer as it is unless its codes are fewer bits than its weights as f32.

    Example: `bsg(code = 256, layers = "c3", slice = [4, 4, 3, 3])`
    """

    name = "bsg"
    code: int = field(metadata=bounded(at_least=1, at_most=1 << 13))
    layers: str | tuple[str, ...] = "*"
    slice: tuple[int, ...] = field(default=(16, 16, 3, 3), metadata=bounded(at_least=1))
    iterations: int = field(default=2, metadata=bounded(at_least=0, at_most=100))
    seed: int = field(default=0, metadata=bounded(at_least=0))
    polarity: Literal["xnor", "xor"] = "xnor"
    keep_first: bool = True
    veto: Literal["parameters", "none"] = "parameters"

    def __post_init__(self) -> None:
        check_bounds(self, self.name)
        check_slice(self.slice)

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        """Rewrite every network in place. Raises HapirError as `sliced_layers`."""
        weights = hapir_context(ctx).weights
        for network in networks_of(op):
            self._generate(network, weights)
            erase_unused_weights(network)

    def _generate(self, network: nn.NetworkOp, weights: WeightStore) -> None:
        def pays(shape: Shape) -> bool:
            bits = slice_count(shape, self.slice) * bsg.words_for(self.code) * bsg.WORD
            return self.veto == "none" or bits < 32 * prod(shape)

        layers = sliced_layers(network, self.layers, self.slice, weights, keep_first=self.keep_first, pays=pays)
        vector = bsg.random_base(self.code, self.seed)
        shared = insert_shared(layers[0].op, "bsg.vector", bsg.pack(vector), unsigned(16), weights)
        for layer in layers:
            w = layer.w
            fitted = bsg.fit(w, self.slice, vector, self.iterations, self.polarity)
            scale = float(np.float32(fitted.scale))
            op = layer.op
            key = f"{parameter_key(op.w)}.codes"
            codes = insert_weight(op, key, bsg.pack(fitted.codes), unsigned(16), weights)
            made = as_f32(self._weights(w.shape, fitted.codes, vector, scale), key, op)
            weight_op_of(codes).attributes.update(losses(w, made))
            generate = BsgGenerateOp(
                codes, shared, self.slice, w.shape, length=self.code, scale=scale, polarity=self.polarity
            )
            generate.result.name_hint = op.w.name_hint
            insert_before(op, [generate])
            op.operands[1] = generate.result

    def _weights(self, shape: Shape, codes: bsg.Bits, vector: bsg.Bits, scale: float) -> Floats:
        numbers = bsg.generated(codes, vector, prod(self.slice), self.polarity)
        return scale * join(numbers, shape, self.slice).astype(np.float64)
