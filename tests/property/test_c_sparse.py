"""Kernels that skip zeros compute what the reference does: bit for bit on integers, within a bound on floats."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from hapir.diagnostics import HapirError
from hapir.dialects.nn_shapes import Window
from hapir.encodings.ras import flush_interval
from hapir.lowering.kernel import plan_sparse
from hapir.lowering.kernel.contraction import Contraction
from hapir.lowering.kernel.costs_sparse import SparseChoice, SparseForm, sparse_choices
from hapir.lowering.kernel.geometry import Geometry
from hapir.lowering.kernel.plan_program import plan_program
from hapir.lowering.kernel.program_sparse import ReduceAndScale, SparseBlocks, SparseConvolution, SparseVector
from hapir.lowering.kernel.steps import Step
from hapir.reference.interpret import run_network
from hapir.targets.c.build import FAST_FLAGS, build_c
from hapir.targets.c.emit import emit_c
from hapir.weights import Array
from tests.c_machines import FOREIGN, Machine, run_on, skip_unless_here
from tests.property.sparse_layers import Kind, Shape, SparseLayer, layer, random_layer, together

WARNINGS = ("-Wall", "-Wextra", "-Werror", "-pedantic")
PATHS = {
    "native": ("-std=c11", "-O1", "-march=native", *WARNINGS),
    "avx2": ("-std=c11", "-O1", "-mavx2", "-mfma", *WARNINGS),
    "c": ("-std=c11", "-O1", "-DHAPIR_PLAIN_C", *WARNINGS),
}
FLOAT_TOLERANCE = 1e-5
"""Of the largest result, and of 1: f32 sums of random products in another order."""


def results(layers: Sequence[SparseLayer], flags: Sequence[str]) -> list[Array]:
    """What the C of each layer gives."""
    all_of_them = together(layers)
    module = build_c(emit_c(all_of_them.network, all_of_them.weights), flags=flags, cache=False)
    found = module.run(all_of_them.inputs)
    return [found[f"y{i}"] for i in range(len(layers))]


def reference(sample: SparseLayer) -> Array:
    """What a layer is to give."""
    return run_network(sample.network, sample.weights, sample.inputs)["y"]


def compare(sample: SparseLayer, found: Array) -> None:
    """Check what the C of a layer gave."""
    expected = reference(sample)
    if expected.dtype.kind == "f":
        limit = FLOAT_TOLERANCE * max(1.0, float(np.abs(expected).max(initial=0)))
        difference = found.astype(np.float64) - expected.astype(np.float64)
        assert np.abs(difference).max(initial=0) <= limit, sample.words
    else:
        np.testing.assert_array_equal(found, expected, err_msg=sample.words)


def check(layers: Sequence[SparseLayer], flags: Sequence[str]) -> None:
    """Every layer's C gives what the reference gives."""
    for sample, found in zip(layers, results(layers, flags), strict=True):
        compare(sample, found)


INTEGERS: tuple[Kind, ...] = ("ui8", "si8", "si16")
FAMILIES: dict[str, tuple[str, SparseForm | None, tuple[Kind, ...]]] = {
    "words": ("sparse", "lanes", INTEGERS),
    "floats": ("sparse", "lanes", ("f32",)),
    "blocks": ("sparse", "blocks", ("f32", *INTEGERS)),
    "vector": ("sparse", "vector", ("f32", *INTEGERS)),
    "ras": ("ras", None, ("ui8", "si8")),
}


def samples(family: str, count: int, seed: int) -> list[SparseLayer]:
    """So many random layers of a family; those of one form have no window where it takes none."""
    algorithm, form, kinds = FAMILIES[family]
    rng = np.random.default_rng(seed)
    return [random_layer(rng, algorithm, kinds, windows=form != "vector") for _ in range(count)]


Take = Callable[[str | None], None]


@pytest.fixture
def take(monkeypatch: pytest.MonkeyPatch) -> Take:
    """What makes layers take the form of a family, whatever it costs, or any of the forms that they can have."""

    def of(family: str | None) -> None:
        def ordered(geometry: Geometry, rows: Array, contraction: Contraction) -> list[SparseChoice]:
            choices = sorted(sparse_choices(geometry, rows, contraction), key=lambda choice: choice.form)
            wanted = FAMILIES[family][1] if family else choices[geometry.filters % len(choices)].form
            return sorted(choices, key=lambda choice: choice.form != wanted)

        monkeypatch.setattr(plan_sparse, "sparse_choices", ordered)

    return of


def of_all_families(count: int, seed: int) -> list[SparseLayer]:
    """So many layers of each family; `take(None)` spreads them over the forms."""
    return [sample for family in FAMILIES for sample in samples(family, count, seed)]


STEPS = {
    "words": SparseConvolution,
    "floats": SparseConvolution,
    "blocks": SparseBlocks,
    "vector": SparseVector,
    "ras": ReduceAndScale,
}


@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_takes_its_form(family: str, take: Take):
    take(family)
    assert {type(step_of(sample)) for sample in samples(family, 5, 0)} == {STEPS[family]}


def step_of(sample: SparseLayer) -> Step:
    """The step that the layer became."""
    program = plan_program(sample.network, sample.weights)
    return [step for step in program.steps if step.origin.layer == "layer"][-1]


@pytest.mark.parametrize("family", FAMILIES)
def test_random_layers(family: str, take: Take):
    take(family)
    check(samples(family, 10, 1), PATHS["native"])


@pytest.mark.parametrize("path", ["avx2", "c"])
def test_random_layers_on_other_paths(path: str, take: Take):
    take(None)
    check(of_all_families(4, 2), PATHS[path])


@pytest.mark.slow
@pytest.mark.parametrize("path", [*PATHS, "fast"])
@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("family", FAMILIES)
def test_sweep(family: str, seed: int, path: str, take: Take):
    take(family)
    flags = PATHS.get(path, (*FAST_FLAGS, *WARNINGS))
    check(samples(family, 30, 100 + seed), flags)


@pytest.mark.parametrize(
    "machine", [FOREIGN[0], *(pytest.param(m, marks=pytest.mark.slow) for m in FOREIGN[1:])], ids=str
)
def test_on_foreign_machines(machine: Machine, take: Take):
    skip_unless_here(machine)
    take(None)
    layers = of_all_families(3, 8)
    everything = together(layers)
    (found,) = run_on(machine, [(emit_c(everything.network, everything.weights), everything.inputs)])
    for i, sample in enumerate(layers):
        compare(sample, found[f"y{i}"])


SANITIZE = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all")


@pytest.mark.slow
@pytest.mark.parametrize("flags", [("-march=native",), ("-mavx2", "-mfma"), ("-DHAPIR_PLAIN_C",)])
@pytest.mark.parametrize("seed", range(4))
def test_nothing_is_read_or_computed_that_must_not_be(seed: int, flags: tuple[str, ...], take: Take):
    machine = Machine("sanitized", "gcc", (*flags, *SANITIZE))
    skip_unless_here(machine)
    take(None)
    everything = together(of_all_families(5, 50 + seed))
    run_on(machine, [(emit_c(everything.network, everything.weights), everything.inputs)])


MAP = Shape(1, 20, (6, 9), 18, Window((3, 3), (1, 1), (1, 1, 1, 1)))


def test_every_density():
    rng = np.random.default_rng(3)
    families = [("f32", "sparse"), ("ui8", "sparse"), ("si8", "ras")]
    check(
        [layer(rng, kind, algorithm, MAP, d / 4) for d in range(5) for kind, algorithm in families],  # pyright: ignore[reportArgumentType]  # of the kinds
        PATHS["native"],
    )


def test_filters_without_weights():
    rng = np.random.default_rng(4)
    weights = rng.integers(-2, 3, (18, 20, 3, 3)).astype(np.int8)
    weights[[0, 5, 6, 17]] = 0
    samples = [layer(rng, "ui8", algorithm, MAP, 1.0, weights=weights) for algorithm in ("sparse", "ras")]
    check([*samples, layer(rng, "f32", "sparse", MAP, 1.0, weights=weights.astype(np.float32))], PATHS["native"])


LONG = Shape(1, 80, (5, 9), 17, Window((3, 3)))
"""A list of a filter and a level can have 720 places, of which 16 bits hold 257 activations of 255."""


def overflowing(signs: str) -> SparseLayer:
    """Weights of one magnitude and no zeros; where they are positive activations are largest, elsewhere 0."""
    channel = np.arange(LONG.channels)
    positive = (channel % 2 == 0) if signs == "both" else np.full(channel.shape, signs == "plus")
    weights = np.where(positive[:, None, None], 1, -1) * np.ones((LONG.filters, LONG.channels, 3, 3), np.int64)
    inputs = np.where(positive[:, None, None], 255, 0) * np.ones((1, LONG.channels, *LONG.size), np.int64)
    rng = np.random.default_rng(5)
    return layer(rng, "ui8", "ras", LONG, 1.0, weights=weights.astype(np.int8), inputs=inputs.astype(np.uint8))


@pytest.mark.parametrize("path", PATHS)
def test_long_lists_do_not_overflow(path: str):
    check([overflowing(signs) for signs in ("plus", "minus", "both")], PATHS[path])


@pytest.mark.parametrize("signs", ["plus", "minus", "both"])
def test_the_bound_of_a_list_is_exact(signs: str, monkeypatch: pytest.MonkeyPatch):
    def one_more(activation_bits: int, accumulator_bits: int, *, signed: bool) -> int:
        return flush_interval(activation_bits, accumulator_bits, signed=signed) + 1

    step = step_of(overflowing(signs))
    assert isinstance(step, ReduceAndScale)
    assert step.lists.counts.values.reshape(-1)[:-1].reshape(-1, 2).sum(axis=1).max() == 257
    monkeypatch.setattr(plan_sparse, "flush_interval", one_more)
    sample = overflowing(signs)
    assert (results([sample], PATHS["native"])[0] != reference(sample)).any()


@pytest.mark.parametrize(
    ("kind", "algorithm", "shape", "wanted"),
    [
        ("f32", "sparse", MAP, SparseConvolution),
        ("si16", "sparse", MAP, SparseConvolution),
        ("si8", "ras", MAP, ReduceAndScale),
        ("f32", "sparse", Shape(64, 300, (1, 1), 160, None), SparseConvolution),
    ],
)
def test_what_a_layer_becomes(kind: Kind, algorithm: str, shape: Shape, wanted: type[Step]):
    sample = layer(np.random.default_rng(6), kind, algorithm, shape, 0.2)
    assert isinstance(step_of(sample), wanted)
    check([sample], PATHS["native"])


def test_formats_that_have_no_kernel():
    rng = np.random.default_rng(7)
    with pytest.raises(HapirError, match="HAP0717"):
        plan(layer(rng, "si16", "ras", MAP, 0.2))
    weights = rng.integers(-128, 128, (18, 20, 3, 3)).astype(np.int8)
    with pytest.raises(HapirError, match="HAP0718"):
        plan(layer(rng, "ui8", "ras", MAP, 0.2, weights=weights))


def plan(sample: SparseLayer) -> None:
    """Only plan a layer."""
    plan_program(sample.network, sample.weights)
