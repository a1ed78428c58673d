"""Scores of networks on labelled or unlabelled data, by any evaluator, against the float network of the recipe.

All passes that ask how good a network is ask here: `keep_accuracy`, the searches, and the rankings of pruners. The
float network (`HapirContext.original`) runs once per `Judge`, each candidate once per score.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from hapir.context import HapirContext
from hapir.diagnostics import fail
from hapir.dialects.nn import NetworkOp
from hapir.lowering.compress.observe_activations import batches, calibration_data, labelled_data
from hapir.lowering.network_edits import networks_of
from hapir.plugin_failures import at_work
from hapir.reference.interpret import check_finite, run_network
from hapir.registered import EVALUATOR, value_of
from hapir.search.evaluator import Evaluator, Evidence
from hapir.weights import Array

_JUDGED = "choose another evaluator, or labels and results that it takes"

SLACK = 1e-9
"""A score may be short of the bound by this: `0.99 - 0.01` is no exact binary fraction."""


FEW = 5
"""A loss of fewer samples than this says little about the network."""


@dataclass(frozen=True)
class Bound:
    """How good is good enough: at most `within` below the float network's score, and at least `at_least`."""

    within: float | None = None
    at_least: float | None = None

    def check(self, name: str, evaluator: str) -> None:
        """Raise ValueError where neither is given, or a share is none, not within 0 to 1; `name` is the pass."""
        if self.within is None and self.at_least is None:
            raise ValueError(f"{name} needs `within` (what may be lost) or `at_least` (what must be kept)")
        chosen: Evaluator = value_of(evaluator, EVALUATOR)
        for option, value in (("within", self.within), ("at_least", self.at_least)):
            if value is not None and not 0 <= value <= 1 and chosen.unit == "share":
                raise ValueError(f"`{option}` of {name} is {value:g}, it must be 0 to 1: {chosen.name} is a share")


@dataclass(frozen=True, eq=False)
class Judge:
    """An evaluator on one data set. `baseline` is the score of the float network itself."""

    evaluator: Evaluator
    network: NetworkOp
    """The float network; diagnostics point at it."""
    inputs: Mapping[str, Array]
    labels: Array | None
    exact: Mapping[str, Array]
    baseline: float

    @staticmethod
    def of(network: NetworkOp, context: HapirContext, evaluator: str, data: str, samples: int | None) -> Judge:
        """The judge of a network in a recipe; `data` is a file relative to the spec, as in the options of passes.

        Raises HapirError: HAP0515 outside a recipe, HAP0401 and HAP0405 for data that do not fit, HAP0580 for an
        unknown evaluator, HAP0581 where the evaluator cannot judge such results.
        """
        name = network.sym_name.data
        originals = [] if context.original is None else networks_of(context.original)
        original = next((op for op in originals if op.sym_name.data == name), None)
        if original is None:
            help = "the float network is known in a recipe only"
            fail("HAP0515", "there is no float network to compare with", at=network, help=help)
        chosen: Evaluator = value_of(evaluator, EVALUATOR)
        path = context.data_file(data)
        if chosen.needs_labels:
            inputs, labels = labelled_data(original, path, samples)
        else:
            inputs, labels = calibration_data(original, path, samples), None
        return Judge.on(original, context.original_weights, chosen, inputs, labels)

    @staticmethod
    def on(
        original: NetworkOp,
        weights: Mapping[str, Array],
        evaluator: Evaluator,
        inputs: Mapping[str, Array],
        labels: Array | None,
    ) -> Judge:
        """The judge against a float network on arrays."""
        exact = run_in_batches(original, weights, inputs)
        check_finite(original, exact)
        unscored = Judge(evaluator, original, inputs, labels, exact, math.nan)
        return Judge(evaluator, original, inputs, labels, exact, unscored._score(exact))

    def score(self, network: NetworkOp, weights: Mapping[str, Array]) -> float:
        """The score of a candidate; -inf where its results are not finite. Raises HapirError (HAP0581)."""
        return self._score(run_in_batches(network, weights, self.inputs))

    def _score(self, results: Mapping[str, Array]) -> float:
        if not all(np.isfinite(array).all() for array in results.values()):
            return -math.inf
        try:
            with at_work("evaluators", self.evaluator.name, self.network):
                score = float(self.evaluator.score(Evidence(results, self.exact, self.labels)))
        except ValueError as error:
            fail(
                "HAP0581", f"`{self.evaluator.name}` cannot judge this network: {error}", at=self.network, help=_JUDGED
            )
        if math.isnan(score):
            fail("HAP0581", f"`{self.evaluator.name}` gave no number", at=self.network, help=_JUDGED)
        return score

    def floor(self, bound: Bound, context: HapirContext | None = None) -> float:
        """The least score that is good enough. Raises HapirError (HAP0582) for `within` of an unbounded score.

        Warns the context (HAP0585) where `within` is a share worth fewer than `FEW` of the samples.
        """
        samples = len(next(iter(self.inputs.values())))
        if (
            context is not None
            and bound.within
            and self.evaluator.unit == "share"
            and bound.within * samples < FEW - SLACK
        ):
            context.warn(
                "HAP0585",
                f"`within` is worth {bound.within * samples:.3g} of {samples} samples: whether so few are right is "
                "mostly chance",
                help=f"use {math.ceil(FEW / bound.within - SLACK)} samples or more, or `evaluator = sqnr`",
            )
        if bound.within is not None and not math.isfinite(self.baseline):
            fail(
                "HAP0582",
                f"`within` counts from the float network's `{self.evaluator.name}`, which has no end",
                at=self.network,
                help="say what must be kept: `at_least = 25 dB`",
            )
        relative = -math.inf if bound.within is None else self.baseline - bound.within
        return max(relative, -math.inf if bound.at_least is None else bound.at_least) - SLACK

    def text(self, score: float) -> str:
        """A score in words."""
        return f"{self.evaluator.name} {self.evaluator.text(score)}"

    def digest(self) -> str:
        """A hash of what scores depend on besides the candidate: the evaluator, the data, and the exact results."""
        state = hashlib.sha256(repr(self.evaluator).encode())
        for name, array in (*self.inputs.items(), ("label", self.labels), *self.exact.items()):
            if array is not None:
                state.update(f"{name}|{array.dtype.str}|{array.shape}|".encode())
                state.update(array.tobytes())
        return state.hexdigest()


def run_in_batches(network: NetworkOp, weights: Mapping[str, Array], inputs: Mapping[str, Array]) -> dict[str, Array]:
    """All results of a network by name, computed a batch of samples at a time."""
    parts = [run_network(network, weights, batch) for batch in batches(inputs)]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
