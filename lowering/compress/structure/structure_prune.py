"""Remove structures of the weights so that the operators themselves become smaller.

Law: lossy; the number of structures is exact, a higher sparsity takes what a lower one takes, and the smaller network
equals the masked one (`shrink = false`), exactly on integers and up to the order of float sums otherwise. No layer gets
more multiplications. The structures (Heidelberg thesis, sections 6.4 and 7.4, L1328 and L1615) and what becomes of a
convolution K x C x R x S:
- weight: single weights are 0; the operator stays.
- column: one (c, r, s) in all filters; the rest is gathered (`nn.gather_taps`) and multiplied as a matrix.
- input_channel, output_channel: a smaller convolution, and smaller neighbours, through add, concat and depthwise ones.
- kernel_position: one (r, s) in all kernels; a smaller or dilated window where a grid is left, else a gathered one.
- kernel_slice: outermost rows and columns of the kernel; a smaller window.
- group: blocks off the diagonal, by halving; a grouped convolution.
- layer: a branch that ends in an add or a concat; the branch is gone.

```
%c = nn.conv2d %x, %w window <1x1> groups 1 layer "c1" : (tensor<1x8x6x6xf32>, tensor<16x8x1x1xf32>) -> ...
```
becomes with `structure_prune(structures = group, groups = 4)`
```
%c = nn.conv2d %x, %v window <1x1> groups 4 layer "c1" : (tensor<1x8x6x6xf32>, tensor<16x2x1x1xf32>) -> ...
```
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Literal, TypeAlias

import numpy as np
from xdsl.context import Context
from xdsl.dialects.builtin import IntegerAttr, ModuleOp, i64
from xdsl.passes import ModulePass

from hapir.bounds import bounded, check_bounds
from hapir.context import hapir_context
from hapir.diagnostics import fail
from hapir.dialects import nn
from hapir.lowering.compress.channel_choice import Choice, choose_groups
from hapir.lowering.compress.channel_groups import Removal, channel_groups
from hapir.lowering.compress.channel_worth import JOINED, worth_by
from hapir.lowering.compress.quantize import reject_quantized
from hapir.lowering.compress.remove_channels import mask_channels, remove_channels
from hapir.lowering.compress.selected_layers import globs_of, selected_layers
from hapir.lowering.compress.structure.drop_branches import drop_branch, mask_branch, removable_branches
from hapir.lowering.compress.structure.gathered_taps import gather_taps, gathers
from hapir.lowering.compress.structure.narrow_windows import narrow_window
from hapir.lowering.compress.weight_slots import WeightSlot
from hapir.lowering.compress.zero_weights import set_weights, zero_weights
from hapir.lowering.infer_nn_shapes import infer_types
from hapir.lowering.network_edits import erase_unused_weights, networks_of, real_weight_of, reject_fused
from hapir.pruners.magnitude import Criterion, Floats, Mask, pruned_count, score
from hapir.pruners.narrowing import grid_of, slices_to_drop
from hapir.pruners.structures import Amount, diagonal_blocks, halvings, pruned_columns
from hapir.weights import WeightStore

Structure: TypeAlias = Literal[
    "weight", "column", "input_channel", "output_channel", "kernel_position", "kernel_slice", "group", "layer"
]

ORDER: tuple[Structure, ...] = (
    *("layer", "group", "output_channel", "input_channel", "kernel_slice", "kernel_position", "column", "weight"),
)
"""Structures that are pruned in one step are pruned in this order, the coarse ones first."""

NOT_TOGETHER: frozenset[tuple[Structure, Structure]] = frozenset(
    (
        ("kernel_position", "column"),
        ("kernel_slice", "column"),
        ("input_channel", "column"),
        ("group", "column"),
        ("kernel_slice", "kernel_position"),
    )
)
"""Pairs, in their order, of which one decides about what the other does; others combine (Heidelberg thesis, L1657)."""


@dataclass(frozen=True)
class StructurePrunePass(ModulePass):
    """Prune structures and shrink the operators. Lossy; equal to masking them.

    `structures`: what goes as one, or several of them at once: weight, column, input_channel, output_channel,
        kernel_position, kernel_slice, group, layer.
    `sparsity`: the share of the structures that goes, of each layer; of layers, of all selected ones that may leave.
    `threshold`: instead of a share, what a structure must be worth to stay.
    `layers`: names of layers, or patterns like `c*`; convolutions and dense layers among them are pruned.
    `criterion`: what a structure is worth: its magnitude (l1 norm), its l2 norm, its mean magnitude over that of the
        layer (psp, which needs no units: PSP's thresholds are 0.1 and 0.2), or what the seed says. Layers are compared
        per weight.
    `groups`: instead of a share, how many groups each convolution is split into, of structure group.
    `multiple_of`: the columns or channels that stay are a multiple of this; rounded up.
    `shrink`: whether operators shrink, or the weights become zero in them.
    `seed`: the order of criterion random.

    Example: `structure_prune(structures = column, sparsity = 50 %, layers = "c2")`
    """

    name = "structure_prune"
    structures: Structure | tuple[Structure, ...]
    sparsity: float | None = field(default=None, metadata=bounded(at_least=0, below=1))
    threshold: float | None = field(default=None, metadata=bounded(above=0))
    layers: str | tuple[str, ...] = "*"
    criterion: Criterion = "magnitude"
    groups: int | None = field(default=None, metadata=bounded(at_least=2))
    multiple_of: int = field(default=1, metadata=bounded(at_least=1))
    shrink: bool = True
    seed: int = field(default=0, metadata=bounded(at_least=0))

    def __post_init__(self) -> None:
        check_bounds(self, self.name)
        chosen = self.chosen
        if not chosen:
            raise ValueError("`structures` of structure_prune is empty: name what shall go")
        if self.groups is not None and "group" not in chosen:
            raise ValueError("`groups` says how structure group splits: no other structure takes it")
        amounts = [name for name in ("sparsity", "threshold") if getattr(self, name) is not None]
        if len(amounts) > 1 or (not amounts and not (chosen == frozenset(("group",)) and self.groups is not None)):
            raise ValueError("say how much to prune, by `sparsity` or by a `threshold`: one of the two")
        for pair in combinations(ORDER, 2):
            together = set(pair) <= chosen
            widths = "group" in pair and {"input_channel", "output_channel"} & set(pair) and self.groups is None
            if together and (pair in NOT_TOGETHER or widths):
                what = f"the structures {pair[0]} and {pair[1]} do not combine"
                help = "say how many `groups`: they stay of one width" if widths else "prune one of them"
                fail("HAP0561", what, help=help)

    @property
    def chosen(self) -> frozenset[Structure]:
        """The structures, as a set."""
        return frozenset((self.structures,) if isinstance(self.structures, str) else self.structures)

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        """Rewrite every network in place. Raises HapirError (HAP0208, HAP0506, HAP0512, HAP0561 to HAP0566)."""
        weights = hapir_context(ctx).weights
        for network in networks_of(op):
            reject_fused(network)
            reject_quantized(network)
            names = [layer.layer_name for layer in selected_layers(network, self.layers)]
            for structure in ORDER:
                if structure in self.chosen:
                    _Pruning(self, structure, network, weights, names).run()
            infer_types(network)
            erase_unused_weights(network)


@dataclass
class _Pruning:
    """One structure on its way through one network."""

    options: StructurePrunePass
    structure: Structure
    network: nn.NetworkOp
    weights: WeightStore
    names: list[str | None]

    def __post_init__(self) -> None:
        self.criterion: Criterion = self.options.criterion
        self.amount = Amount(self.options.sparsity, self.options.threshold)
        self.draw = np.random.default_rng(self.options.seed)

    def run(self) -> None:
        """Prune every selected layer that has the structure."""
        if self.structure == "layer":
            self._layers()
        elif self.structure in ("input_channel", "output_channel"):
            self._channels()
        else:
            changes: dict[Structure, Callable[[nn.ProductOp, Floats], bool]] = {
                "weight": self._single,
                "column": self._column,
                "kernel_position": self._position,
                "kernel_slice": self._slice,
                "group": self._group,
            }
            done = [changes[self.structure](op, real_weight_of(op.w, self.weights)) for op in self._selected()]
            if done and not any(done):
                what = f"no selected layer has the structure {self.structure}"
                fail("HAP0566", what, at=self.network, help="select convolutions with larger kernels")

    def _selected(self) -> list[nn.ProductOp]:
        """The selected layers that are still there."""
        layers = [op for op in self.network.body.block.ops if isinstance(op, nn.ProductOp)]
        return [op for op in layers if op.layer_name in self.names]

    def _lacks(self, op: nn.ProductOp) -> bool:
        """False, for a layer that a pattern selects and that has not got the structure; an error for a named one."""
        if op.layer_name in globs_of(self.options.layers):
            what = f"`{op.layer_name}` has no structure {self.structure} to lose"
            fail("HAP0566", what, at=op, help="select convolutions with larger kernels")
        return False

    def _reject_gathered(self, op: nn.ProductOp) -> None:
        if gathers(op):
            what = f"`{op.layer_name}` reads gathered taps: the structure {self.structure} is not in it any more"
            fail("HAP0561", what, at=op, help="prune columns last")

    def _zero(self, op: nn.ProductOp, w: Floats, pruned: Mask) -> None:
        zero_weights(WeightSlot(op, 1), w, pruned, self.weights)

    def _single(self, op: nn.ProductOp, w: Floats) -> bool:
        scores = score(w.reshape(-1, 1), (1,), self.criterion, self.draw)
        self._zero(op, w, self.amount.pruned(scores).reshape(w.shape))
        return True

    def _column(self, op: nn.ProductOp, w: Floats) -> bool:
        groups = op.filter_groups
        pruned = pruned_columns(w, groups, self.amount, self.criterion, self.draw, self.options.multiple_of)
        if not self.options.shrink or not gather_taps(op, w, pruned, self.weights):
            whole = pruned[:, None].repeat(len(w) // groups, axis=1)
            self._zero(op, w, whole.reshape(w.shape))
        return True

    def _position(self, op: nn.ProductOp, w: Floats) -> bool:
        if not isinstance(op, nn.ConvolutionOp):
            return self._lacks(op)
        self._reject_gathered(op)
        kernel = op.window.window.kernel
        if kernel == (1, 1):
            return self._lacks(op)
        kernels = w.reshape(*w.shape[:2], *kernel)
        scores = score(kernels, (0, 1), self.criterion, self.draw)
        pruned = self.amount.pruned(scores.ravel()).reshape(kernel)
        self._drop_positions(op, w, pruned)
        return True

    def _drop_positions(self, op: nn.ConvolutionOp, w: Floats, pruned: Mask) -> None:
        """Let no filter read these positions of the kernel: by a smaller window, else by gathering the others."""
        kernels, grid = w.reshape(*w.shape[:2], *pruned.shape), grid_of(~pruned)
        if not self.options.shrink or not pruned.any():
            self._zero(op, w, np.broadcast_to(pruned, kernels.shape).reshape(w.shape))
        elif grid is None or not narrow_window(op, kernels, *grid, self.weights):
            gather_taps(op, w, np.tile(pruned.ravel(), (op.filter_groups, w.shape[1])), self.weights)

    def _slice(self, op: nn.ProductOp, w: Floats) -> bool:
        if not isinstance(op, nn.ConvolutionOp):
            return self._lacks(op)
        self._reject_gathered(op)
        kernel = op.window.window.kernel
        if kernel == (1, 1):
            return self._lacks(op)
        kernels = w.reshape(*w.shape[:2], *kernel)
        worth = score(kernels, (0, 1), self.criterion, self.draw)
        positions = worth.size
        largest = positions if self.options.sparsity is None else pruned_count(positions, self.options.sparsity)
        rows, columns = slices_to_drop(worth, largest, self.options.threshold)
        pruned = np.ones(kernel, dtype=np.bool_)
        pruned[rows, columns] = False
        self._drop_positions(op, w, pruned)
        return True

    def _group(self, op: nn.ProductOp, w: Floats) -> bool:
        self._reject_gathered(op)
        if not isinstance(op, nn.ConvolutionOp):
            return self._lacks(op)
        filters, channels, groups = w.shape[0], w.shape[1], op.filter_groups
        split = self.options.groups
        if split is not None and (filters // groups % split or channels % split):
            if op.layer_name not in globs_of(self.options.layers):
                return False
            what = f"`{op.layer_name}` has {channels} input channels and {filters // groups} filters per group: "
            fail("HAP0564", f"{what}they do not split into {split}", at=op, help="choose another number of groups")
        if split is None:
            worth = score(w.reshape(filters, channels, -1), (2,), self.criterion, self.draw)
            split = halvings(filters, channels, groups, self.amount, worth)
        blocks = diagonal_blocks(filters, channels, groups, split)
        if not self.options.shrink or split == 1:
            pruned = ~blocks.reshape(filters, channels, *[1] * (w.ndim - 2))
            self._zero(op, w, np.broadcast_to(pruned, w.shape))
        else:
            set_weights(op, w[blocks].reshape(filters, channels // split, *w.shape[2:]), "grouped", self.weights)
            op.groups = IntegerAttr(groups * split, i64)
        return True

    def _channels(self) -> None:
        groups = channel_groups(self.network)
        choice = Choice(
            side="output" if self.structure == "output_channel" else "input",
            sparsity=self.options.sparsity or 0.0,
            scope="layer",
            named=frozenset(globs_of(self.options.layers)),
            worth=worth_by(self.criterion, self.options.seed),
            joined=JOINED[self.criterion],
            threshold=self.options.threshold,
            multiple_of=self.options.multiple_of,
        )
        chosen = choose_groups(self.network, groups, self._selected(), choice, self.weights)
        change = remove_channels if self.options.shrink else mask_channels
        change(self.network, Removal(groups, chosen), self.weights)

    def _layers(self) -> None:
        layers = self._selected()
        found = removable_branches(self.network, self._worth_of_layers(layers))
        if not found:
            what = "none of the selected layers may leave"
            fail("HAP0565", what, at=self.network, help="prune channels, or select layers of residual branches")
        if self.options.threshold is not None:
            count = sum(worth < self.options.threshold for _, worth in found)
        else:
            count = pruned_count(len(found), self.options.sparsity or 0.0)
        change = drop_branch if self.options.shrink else mask_branch
        for layer, _ in found[:count]:
            change(self.network, layer, self.weights)
            infer_types(self.network)

    def _worth_of_layers(self, layers: Sequence[nn.ProductOp]) -> dict[nn.ProductOp, float]:
        """What each layer is worth per weight; of criterion psp, over the mean of all of them."""
        arrays = (real_weight_of(op.w, self.weights) for op in layers)  # one at a time
        if self.criterion == "l2":
            found = [float(np.sqrt(np.square(w).mean())) for w in arrays]
        elif self.criterion == "random":
            found = self.draw.permutation(len(layers)).astype(float).tolist()
        else:
            found = [float(np.abs(w).mean()) for w in arrays]
        mean = float(np.mean(found)) if found else 0.0
        if self.criterion == "psp" and mean:
            found = [worth / mean for worth in found]
        return dict(zip(layers, found, strict=True))
