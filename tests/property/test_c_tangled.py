"""The C of tangled networks gives what the reference does, before the pipeline `canonical` and after it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from xdsl.dialects.builtin import ModuleOp

from hapir.importers.onnx.read import make_canonical
from hapir.lowering.network_edits import networks_of
from hapir.reference.interpret import run_network
from hapir.targets.c.build import build_c_together
from hapir.targets.c.emit import CArtefact, emit_c
from tests.property.tangled_networks import Tangle

FLAGS = ("-std=c11", "-O1", "-ffp-contract=off", "-Wall", "-Wextra", "-Werror")
TOLERANCE = 5e-5
"""Of the largest value of a result."""


def check(seeds: range) -> None:
    cases: list[tuple[int, CArtefact, dict[str, Any], dict[str, Any]]] = []
    for seed in seeds:
        tangle = Tangle(seed)
        module, weights, inputs = ModuleOp([tangle.network]), tangle.weights, tangle.inputs()
        if seed % 2:
            weights = make_canonical(module, weights)
        network = networks_of(module)[0]
        expected = run_network(network, weights, inputs)
        cases.append((seed, emit_c(network, weights, f"n{seed}"), inputs, expected))
    modules = build_c_together([artefact for _, artefact, _, _ in cases], flags=FLAGS)
    for (seed, _, inputs, expected), module in zip(cases, modules, strict=True):
        found = module.run(inputs)
        for name, array in expected.items():
            limit = TOLERANCE * max(1.0, float(np.abs(array).max(initial=0)))
            assert np.abs(found[name] - array).max(initial=0) <= limit, f"seed {seed}, {name}"


def test_c_is_the_reference() -> None:
    check(range(30))


@pytest.mark.slow
def test_c_is_the_reference_sweep() -> None:
    for first in range(1000, 1200, 50):
        check(range(first, first + 50))
