"""Named pipelines: passes that belong together, in the order that works, with the reason for the order.

`hapir opt -p 'float_c'` runs one; it may stand among passes and other pipelines. Its options go to the passes that
have them: `int8{calibration="d.npz"}` hands `calibration` to `quantize`. A plug-in adds pipelines through the field
`pipelines` of its `HapirUniverse`.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class NamedPipeline:
    """Passes in order, as `hapir opt -p` reads them.

    `passes` may name other pipelines, `summary` says in one line what they are for, `reason` why they stand in this
    order.
    """

    passes: str
    summary: str
    reason: str


FINISH = NamedPipeline(
    "fuse",
    "what hapir runs after every recipe, before the targets",
    "fuse groups the ops of a layer for the targets. Passes that rewrite layers refuse fused ones (HAP0516), so it "
    "comes last.",
)

CANONICAL = NamedPipeline(
    "simplify_arithmetic,cancel_transposes,recognize_activations,join_biases,recognize_norms,recognize_pools,"
    "simplify_shapes,join_paddings,grow_concats",
    "one form of the many in which other tools write a network; what `hapir import` runs",
    "Numbers are written in one way before layers are recognized in pieces of arithmetic, and axes lie where hapir has "
    "them before layers that have their own place for channels are: pools, biases, norms. Sums that are biases go "
    "before norms, which are of other sums, and norms before pools, as both have means; paddings join layers that know "
    "by then what they read. Concatenations join what is left.",
)

FLOAT_C = NamedPipeline(
    "infer_nn_shapes,fold_batch_norm,finish",
    "a float network made ready for the C target",
    "Shapes come first: all other passes read them. A batch norm is folded before fuse puts the layer that it belongs "
    "to out of reach. Coded weights need no pass: the target decodes them.",
)

INT8 = NamedPipeline(
    "fold_batch_norm,quantize,finish",
    "a float network made an integer one by calibration data; needs `calibration`",
    "A batch norm has no integer form, so it is folded before quantize, and the weights are scaled as they will be "
    "used.",
)

RTL = NamedPipeline(
    "int8,lower_to_rtl",
    "the circuit of a schedule's integer network, for the Verilog target; needs `calibration`",
    "lower_to_rtl reads fused integer layers, the machine and the schedule, so all of int8 comes before it.",
)

KERNELS = NamedPipeline(
    "choose_kernels,tile_kernels",
    "what hapir runs before the C target: how each layer is computed on the host",
    "The blocks of a layer follow from its algorithm. Both read finished layers, so they come after fuse.",
)
