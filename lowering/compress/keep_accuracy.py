"""A recipe step that changes nothing and stops where compression cost too much accuracy.

Law: exact (the IR is not touched). The float network that the recipe started from (`HapirContext.original`) and the
network as it is now run on labelled data; a drop in top-1 accuracy beyond `within` is an error at the recipe's step.

```
nn.network @digits ...        // quantized
```
stays as it is, or is refused: `HAP0514: accuracy fell from 0.982 to 0.941, by more than 0.010`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.passes import ModulePass

from hapir.bounds import bounded, check_bounds
from hapir.context import hapir_context
from hapir.diagnostics import fail
from hapir.dialects.nn import NetworkOp
from hapir.lowering.compress.observe_activations import batches, labelled_data
from hapir.lowering.network_edits import networks_of
from hapir.reference.interpret import run_network
from hapir.weights import Array, WeightStore


@dataclass(frozen=True)
class KeepAccuracyPass(ModulePass):
    """Refuse the network when its accuracy fell by more than `within` since the recipe began. Changes nothing.

    `within`: the allowed drop as a share of the images (1 point is 0.01).
    `data`: a file with the network's inputs and an integer array `label`, relative to the spec.
    `samples`: use only the first so many of the data.

    Example: `fold_batch_norm(); keep_accuracy(within = 1 point, data = "digits_calib.npz", samples = 32)`
    """

    name = "keep_accuracy"
    within: float = field(metadata=bounded(at_least=0, at_most=1))
    data: str
    samples: int | None = field(default=None, metadata=bounded(at_least=1))

    def __post_init__(self) -> None:
        check_bounds(self, self.name)

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        context = hapir_context(ctx)
        if context.original is None:
            fail("HAP0515", "there is no float network to compare with", at=op, help="use keep_accuracy in a recipe")
        before = {network.sym_name.data: network for network in networks_of(context.original)}
        for network in networks_of(op):
            inputs, labels = labelled_data(network, context.data_file(self.data), self.samples)
            first = accuracy(before[network.sym_name.data], context.original_weights, inputs, labels)
            now = accuracy(network, context.weights, inputs, labels)
            # the small slack keeps a drop of exactly `within` legal in spite of binary fractions
            if first - now > self.within + 1e-9:
                fail(
                    "HAP0514",
                    f"accuracy fell from {first:.3f} to {now:.3f}, by more than {self.within:.3f}",
                    at=network,
                    help="prune less, calibrate with more data or another method, or allow more",
                )


def accuracy(network: NetworkOp, weights: WeightStore, inputs: dict[str, Array], labels: Array) -> float:
    """The share of samples whose class is the label: the first result's largest entry along axis 1, or, where that
    result has one entry per sample (argmax), the entry itself."""
    result = network.result_names.data[0].data
    scores = np.concatenate([run_network(network, weights, batch)[result] for batch in batches(inputs)])
    classes = scores if scores.ndim == 1 else scores.reshape(len(scores), -1).argmax(axis=1)
    return float((classes == labels).mean())
