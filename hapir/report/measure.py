"""Measure a schedule's network against the float network on labelled images: what `hapir report` shows.

Both networks run by the reference interpreter on the same images. The ratio of a layer compares what it gives in the
two; where the recipe folded batch norms the float network is folded too, so that a layer's result is the same quantity
on both sides.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np
from xdsl.dialects.builtin import ModuleOp

from hapir.cache import key_of
from hapir.data import Dataset, accuracy
from hapir.diagnostics import HapirError, fail
from hapir.dialects.nn import BatchNormOp, LayerOp, NetworkOp
from hapir.dialects.num import shape_of
from hapir.lowering.compress.fold_batch_norm import FoldBatchNormPass
from hapir.lowering.compress.sqnr import results_by_layer
from hapir.lowering.network_edits import layer_name, networks_of
from hapir.pipeline import ir_text
from hapir.reference.interpret import check_finite, run_network
from hapir.report.compression import CompressionReport, Footprint, LayerCompression
from hapir.report.footprint import footprints
from hapir.report.memory import Memory
from hapir.search.agreement import Agreement
from hapir.search.evaluator import Evidence
from hapir.search.sqnr import Sqnr, ratio_db
from hapir.weights import Array, WeightStore

if TYPE_CHECKING:
    from hapir.driver import Scheduled

BATCH_BYTES = 1 << 28
"""About what the activations of one batch may take while layers are compared."""


FloatResults = dict[str, Mapping[str, Array]]
"""Results of float networks on one data set, by a hash of the network: those that several schedules share."""


def measure(
    scheduled: Scheduled, data: Dataset, *, layers: bool = True, known: FloatResults | None = None
) -> CompressionReport:
    """Compare a schedule's network with its float network on labelled data.

    Without `layers` no layer's ratio is measured. `known` are results of float networks on the same data; new ones are
    added. Raises HapirError: HAP0584 where no accuracy can be measured, and what the recipe and the reference raise.
    """
    (original,) = networks_of(scheduled.float_module)
    original_weights = scheduled.float_weights
    if data.labels is None:
        help = "add an array `label` with the class of each image: a compression is shown with its accuracy only"
        fail("HAP0584", "the data have no labels, so no accuracy can be measured", at=original, help=help)
    decoded = scheduled.decoded
    exact = _exact_results(original, original_weights, data, {} if known is None else known)
    results = run_network(decoded.network, decoded.weights, data.inputs)
    check_finite(decoded.network, results)
    before, after = accuracy(exact, data.labels), accuracy(results, data.labels)
    if before is None or after is None:
        what = f"the first result of `{original.sym_name.data}` gives no class"
        fail("HAP0584", what, at=original, help="report needs scores N x C or classes N as the first result")
    evidence = Evidence(results, exact, data.labels)
    old, new = footprints(original, original_weights), footprints(scheduled.network, scheduled.weights)
    ratios = _ratios(scheduled, original, data.inputs) if layers else {}
    memory = _memory(scheduled) if layers else None
    total = LayerCompression("total", "", _sum(old), _sum(new), Sqnr().score(evidence))
    return CompressionReport(
        scheduled.design.path.name,
        scheduled.shown_name,
        scheduled.recipe,
        data.images,
        before,
        after,
        Agreement().score(evidence),
        tuple(_layers(old, new, ratios)),
        total,
        None if memory is None else memory.arena_bytes,
        (original_weights.file_bytes, scheduled.weights.file_bytes),
        memory,
        scheduled.warnings,
    )


def _exact_results(network: NetworkOp, weights: WeightStore, data: Dataset, known: FloatResults) -> Mapping[str, Array]:
    key = key_of((ir_text(network), weights.digest()))
    if key not in known:
        known[key] = run_network(network, weights, data.inputs)
        check_finite(network, known[key])
    return known[key]


Counted = Mapping[str, tuple[str, Footprint]]


def _sum(found: Counted) -> Footprint:
    return sum((footprint for _, footprint in found.values()), Footprint())


def _layers(old: Counted, new: Counted, ratios: Mapping[str, float]) -> Iterator[LayerCompression]:
    """The layers with parameters or MACs on either side, in the order of the float network, then those of the other."""
    for name in dict.fromkeys((*old, *new)):
        sides = old.get(name), new.get(name)
        before, after = (None if side is None else side[1] for side in sides)
        if any(side not in (None, Footprint()) for side in (before, after)):
            kind = next(side[0] for side in sides if side is not None)
            yield LayerCompression(name, kind, before, after, ratios.get(name))


def _ratios(scheduled: Scheduled, original: NetworkOp, inputs: Mapping[str, Array]) -> dict[str, float]:
    """The SQNR in dB of each layer's result, by layer name, where both networks have one of the same shape."""
    network, weights = scheduled.decoded.network, scheduled.decoded.weights
    exact, exact_weights = _folded(scheduled) if _has_lost_norms(original, network) else (original, None)
    sums: dict[str, tuple[float, float]] = {}
    for batch in _batches(original, inputs):
        found = results_by_layer(network, weights, batch)
        for name, (reals, _) in results_by_layer(exact, exact_weights or scheduled.float_weights, batch).items():
            if name in found and found[name][0].shape == reals.shape:
                noise, signal = sums.get(name, (0.0, 0.0))
                error = float(np.square(found[name][0] - reals).sum())
                sums[name] = noise + error, signal + float(np.square(reals).sum())
    return {name: ratio_db(*both) for name, both in sums.items()}


def _has_lost_norms(original: NetworkOp, network: NetworkOp) -> bool:
    """Whether a batch norm of the float network is in the other one no more."""
    left = {layer_name(op) for op in network.walk() if isinstance(op, BatchNormOp)}
    return any(isinstance(op, BatchNormOp) and op.layer_name not in left for op in original.walk())


def _folded(scheduled: Scheduled) -> tuple[NetworkOp, WeightStore]:
    module: ModuleOp = scheduled.float_module.clone()
    ctx = scheduled.float_context()
    FoldBatchNormPass().apply(ctx, module)
    (network,) = networks_of(module)
    return network, ctx.weights


def _batches(network: NetworkOp, inputs: Mapping[str, Array]) -> Iterator[dict[str, Array]]:
    """The inputs, as many images at a time as `BATCH_BYTES` allows for all activations in f64."""
    declared = shape_of(network.body.block.args[0])[0]
    values = sum(int(np.prod(shape_of(v))) for op in network.walk() if isinstance(op, LayerOp) for v in op.results)
    per_image = max(1, 8 * values // max(1, declared))
    images = len(next(iter(inputs.values())))
    step = max(1, min(images, BATCH_BYTES // per_image))
    for first in range(0, images, step):
        yield {name: array[first : first + step] for name, array in inputs.items()}


def _memory(scheduled: Scheduled) -> Memory | None:
    """What the C of the body takes; None where it has no C form."""
    from hapir.witnesses import c_artefact

    try:
        return Memory.of(c_artefact(scheduled))
    except HapirError:
        return None
