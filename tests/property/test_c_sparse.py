"""Kernels that skip zeros compute what the reference does: bit for bit on integers, within a bound on floats."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from hapir.reference.interpret import run_network
from hapir.targets.c.build import FAST_FLAGS, build_c_together
from hapir.targets.c.emit import emit_c
from tests.property.sparse_layers import Kind, SparseLayer, random_layer

WARNINGS = ("-Wall", "-Wextra", "-Werror", "-pedantic")
PATHS = {
    "native": (*FAST_FLAGS, *WARNINGS),
    "avx2": ("-std=c11", "-O1", "-mavx2", "-mfma", *WARNINGS),
    "c": ("-std=c11", "-O1", "-DHAPIR_PLAIN_C", *WARNINGS),
}
FLOAT_TOLERANCE = 2e-5
"""Of the largest sum of magnitudes: f32 sums in another order."""


def check(layers: Sequence[SparseLayer], flags: Sequence[str]) -> None:
    """Every layer's C gives what the reference gives."""
    artefacts = [emit_c(sample.network, sample.weights, f"net{i}") for i, sample in enumerate(layers)]
    modules = build_c_together(artefacts, flags=flags, cache=False)
    for sample, module in zip(layers, modules, strict=True):
        expected = run_network(sample.network, sample.weights, sample.inputs)["y"]
        found = module.run(sample.inputs)["y"]
        if expected.dtype.kind == "f":
            limit = FLOAT_TOLERANCE * max(1.0, float(np.abs(expected).max(initial=0)))
            assert np.abs(found - expected).max(initial=0) <= limit, sample.words
        else:
            np.testing.assert_array_equal(found, expected, err_msg=sample.words)


FAMILIES: dict[str, tuple[str, tuple[Kind, ...]]] = {
    "words": ("sparse", ("ui8", "si8", "si16")),
    "floats": ("sparse", ("f32",)),
    "ras": ("ras", ("ui8", "si8")),
}


def samples(family: str, count: int, seed: int) -> list[SparseLayer]:
    """So many random layers of a family."""
    rng = np.random.default_rng(seed)
    return [random_layer(rng, *FAMILIES[family]) for _ in range(count)]


@pytest.mark.parametrize("family", FAMILIES)
def test_random_layers(family: str):
    check(samples(family, 12, 1), PATHS["native"])


@pytest.mark.slow
@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("family", FAMILIES)
def test_sweep(family: str, seed: int, path: str):
    check(samples(family, 30, 100 + seed), PATHS[path])
