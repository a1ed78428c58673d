"""Dense-sparse convolutions compute what the reference does, whatever the threshold, and cost what their parts do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from xdsl.dialects.builtin import IntegerAttr, i64

from hapir.diagnostics import HapirError
from hapir.dialects import nn
from hapir.dialects.kernel import ChoiceAttr
from hapir.dialects.nn_shapes import Window
from hapir.lowering.kernel.contraction import F32, U8_I8
from hapir.lowering.kernel.costs_winograd import cheapest_dsc, dsc_cost
from hapir.lowering.kernel.dense_sparse import TAUS, kernel_map
from hapir.lowering.kernel.plan_products import geometry_of
from hapir.lowering.kernel.plan_program import plan_program
from hapir.lowering.kernel.program_sparse import SparseConvolution
from hapir.lowering.kernel.program_winograd import Winograd, WinogradLists
from hapir.lowering.kernel.steps import Step
from hapir.reference.interpret import run_network
from hapir.targets.c.emit import emit_c
from hapir.weights import Array
from tests.c_machines import FOREIGN, Machine
from tests.property.sparse_layers import Kind, Shape, SparseLayer, layer
from tests.property.test_c_winograd import HOSTS, run, sanitized

FLOAT_TOLERANCE = 2e-5
"""Of the largest result: sums in another order, and the transforms of weights of one size."""


def choose(sample: SparseLayer, algorithm: str, **options: int | None) -> SparseLayer:
    """The same layer with another kernel."""
    network = sample.network.clone()
    given = {name: IntegerAttr(value, i64) for name, value in options.items() if value is not None}
    convolution_of(network).attributes["kernel"] = ChoiceAttr.of(algorithm, "", given)
    return replace(sample, network=network)


def convolution_of(network: nn.NetworkOp) -> nn.Conv2dOp:
    """The layer itself."""
    return next(op for op in network.body.walk() if isinstance(op, nn.Conv2dOp))


def kernels(rng: np.random.Generator, kind: Kind, filters: int, channels: int, skipped: float) -> Array:
    """Weights whose kernels have any number of non-zeros, many of them none."""
    shape = (filters, channels, 3, 3)
    counts = np.where(rng.random(shape[:2]) < skipped, 0, rng.integers(0, 10, shape[:2]))
    kept = (rng.random((*shape[:2], 9)).argsort(axis=2) < counts[:, :, None]).reshape(shape)
    if kind == "f32":
        return (rng.standard_normal(shape) * kept).astype(np.float32)
    return (rng.integers(-128, 128, shape) * kept).astype(np.int8)


def a_layer(rng: np.random.Generator, kind: Kind, shape: Shape, skipped: float = 0.4) -> SparseLayer:
    """A layer of a shape with such weights."""
    return layer(rng, kind, "dsc", shape, 1.0, weights=kernels(rng, kind, shape.filters, shape.channels, skipped))


def random_layer(rng: np.random.Generator, kind: Kind) -> SparseLayer:
    """Any size and border, tails of tiles and vectors, any threshold or none."""
    padding = tuple(int(p) for p in rng.integers(0, 3, 4))
    size = int(rng.integers(3, 14)), int(rng.integers(3, 20))
    window = Window((3, 3), padding=(padding[0], padding[1], padding[2], padding[3]))
    channels, filters = int(rng.choice([1, 3, 8, 17, 30])), int(rng.choice([1, 7, 16, 20, 33]))
    shape = Shape(int(rng.choice([1, 1, 2])), channels, size, filters, window)
    tau = None if rng.random() < 0.2 else int(rng.integers(0, 11))
    return choose(a_layer(rng, kind, shape, float(rng.random())), "dsc", tau=tau, tile=int(rng.choice([2, 4])))


def samples(count: int, seed: int) -> list[SparseLayer]:
    """So many layers, every kind in turn."""
    rng = np.random.default_rng(seed)
    kinds: tuple[Kind, ...] = ("ui8", "f32", "si8")
    return [random_layer(rng, kinds[i % 3]) for i in range(count)]


def check(layers: Sequence[SparseLayer], machine: Machine) -> None:
    """Every layer's C gives what the reference gives."""
    for sample, found in zip(layers, run(layers, machine, "-O1"), strict=True):
        expected = run_network(sample.network, sample.weights, sample.inputs)["y"]
        if expected.dtype.kind == "f":
            limit = FLOAT_TOLERANCE * max(1.0, float(np.abs(expected).max(initial=0)))
            assert np.abs(found - expected).max(initial=0) <= limit, sample.words
        else:
            np.testing.assert_array_equal(found, expected, err_msg=sample.words)


def use_lists(monkeypatch: pytest.MonkeyPatch, lists: bool) -> None:
    """Have dense kernels computed as lists, or as matrix products."""

    def pay(*layer: object) -> bool:
        del layer
        return lists

    monkeypatch.setattr("hapir.lowering.kernel.plan_dsc.lists_pay", pay)


@pytest.mark.parametrize("lists", [True, False])
@pytest.mark.parametrize("path", HOSTS)
def test_random_layers(path: str, lists: bool, monkeypatch: pytest.MonkeyPatch):
    use_lists(monkeypatch, lists)
    check(samples(3, 10 * list(HOSTS).index(path) + lists), HOSTS[path])


@pytest.mark.slow
@pytest.mark.parametrize("lists", [True, False])
@pytest.mark.parametrize("path", HOSTS)
@pytest.mark.parametrize("seed", range(8))
def test_many_layers(seed: int, path: str, lists: bool, monkeypatch: pytest.MonkeyPatch):
    use_lists(monkeypatch, lists)
    check(samples(24, 1000 + 2 * seed + lists), HOSTS[path])


@pytest.mark.slow
@pytest.mark.parametrize("lists", [True, False])
@pytest.mark.parametrize("path", ["native", "plain"])
def test_layers_under_sanitizers(path: str, lists: bool, monkeypatch: pytest.MonkeyPatch):
    use_lists(monkeypatch, lists)
    check(samples(9, 7), sanitized(path))


MAP = Shape(1, 20, (9, 14), 18, Window((3, 3), padding=(1, 1, 1, 1)))


def steps_of(sample: SparseLayer) -> list[Step]:
    """The steps that compute the layer."""
    kinds = SparseConvolution | Winograd | WinogradLists
    return [step for step in plan_program(sample.network, sample.weights).steps if isinstance(step, kinds)]


@pytest.mark.parametrize("kind", ["ui8", "si8"])
def test_results_do_not_depend_on_the_threshold(kind: Kind):
    sample = a_layer(np.random.default_rng(1), kind, MAP)
    layers = [choose(sample, "dsc", tau=tau, tile=2 if tau % 2 else 4) for tau in (0, 2, 3, 5, 9, 10)]
    check(layers, HOSTS["native"])


@pytest.mark.parametrize("kind", ["f32", "ui8", "si8"])
def test_thresholds_at_the_ends_are_the_pure_kernels(kind: Kind, monkeypatch: pytest.MonkeyPatch):
    """At 10 the text is that of the sparse kernel, at 0 that of minimal filtering."""
    sample = a_layer(np.random.default_rng(2), kind, MAP)
    pure, mixed = choose(sample, "sparse"), choose(sample, "dsc", tau=10)
    assert emit_c(mixed.network, mixed.weights, "n").files == emit_c(pure.network, pure.weights, "n").files
    (only,) = steps_of(choose(sample, "dsc", tau=0))
    assert isinstance(only, Winograd | WinogradLists)
    use_lists(monkeypatch, lists=False)
    full = replace(sample, weights=sample.weights)
    pure, mixed = choose(full, "winograd", tile=4), choose(full, "dsc", tau=0, tile=4)
    assert emit_c(mixed.network, mixed.weights, "n").files == emit_c(pure.network, pure.weights, "n").files


@pytest.mark.parametrize("tau", [0, 3, 6])
def test_tables_hold_what_is_not_skipped(tau: int, monkeypatch: pytest.MonkeyPatch):
    """A list has an entry per dense kernel and plane, or per non-zero of the sparse ones; skipped ones have none."""
    use_lists(monkeypatch, lists=True)
    sample = choose(a_layer(np.random.default_rng(3), "f32", MAP), "dsc", tau=tau, tile=2)
    weights = sample.weights["w"]
    parts = kernel_map(weights, tau)
    skipped, dense, sparse = parts.counts
    assert skipped == (np.count_nonzero(weights, axis=(2, 3)) == 0).sum() > 0
    assert skipped + dense + sparse == weights.shape[0] * weights.shape[1]
    *lists, filtered = steps_of(sample)
    assert isinstance(filtered, WinogradLists)
    assert filtered.entries == filtered.lists.counts.values.sum() == dense
    assert filtered.weights.values.size == 16 * dense + 1
    entries = sum(int(step.lists.counts.values.sum()) for step in lists if isinstance(step, SparseConvolution))
    assert entries == np.count_nonzero(weights[parts.sparse])
    assert bool(lists) == bool(sparse)


@pytest.mark.parametrize("skipped", [0.0, 0.5, 0.9])
@pytest.mark.parametrize("contraction", [F32, U8_I8], ids=lambda c: c.name)
def test_the_choice_is_the_cheapest(contraction: object, skipped: float):
    """By trying all; never dearer than all kernels dense or all sparse."""
    assert contraction in (F32, U8_I8)
    chosen = F32 if contraction is F32 else U8_I8
    sample = a_layer(np.random.default_rng(4), "f32", Shape(1, 32, (28, 28), 48, Window((3, 3))), skipped)
    geometry, weights = geometry_of(convolution_of(sample.network)), sample.weights["w"]
    costs = {(tau, size): dsc_cost(geometry, weights, tau, size, chosen) for tau in TAUS for size in (2, 4)}
    found = cheapest_dsc(geometry, weights, chosen)
    assert found.cycles == costs[found.tau, found.size] == min(costs.values())
    assert found.cycles <= min(costs[tau, size] for tau in (0, 10) for size in (2, 4))


@pytest.mark.parametrize("tau", [-1, 11])
def test_thresholds_have_bounds(tau: int):
    with pytest.raises(ValueError, match=r"0\.\.10"):
        kernel_map(np.zeros((1, 1, 3, 3)), tau)
    assert refused(choose(a_layer(np.random.default_rng(5), "ui8", MAP), "dsc", tau=tau)) == "HAP0723"


def refused(sample: SparseLayer) -> str:
    """The code with which the C target refuses a layer."""
    with pytest.raises(HapirError) as caught:
        emit_c(sample.network, sample.weights)
    return caught.value.diagnostics[0].code


@pytest.mark.parametrize("algorithm", ["dsc", "winograd"])
@pytest.mark.parametrize(
    ("window", "groups"),
    [
        (Window((5, 5)), 1),
        (Window((3, 1)), 1),
        (Window((3, 3), (2, 2)), 1),
        (Window((3, 3), dilation=(1, 2)), 1),
        (Window((3, 3)), 2),
    ],
)
def test_other_windows_are_refused(algorithm: str, window: Window, groups: int):
    sample = layer(np.random.default_rng(6), "ui8", algorithm, Shape(1, 8, (9, 9), 8, window, groups), 0.5)
    assert refused(sample) == {"dsc": "HAP0724", "winograd": "HAP0719"}[algorithm]


@pytest.mark.parametrize(("algorithm", "code"), [("dsc", "HAP0717"), ("winograd", "HAP0719")])
def test_wide_inputs_are_refused(algorithm: str, code: str):
    assert refused(layer(np.random.default_rng(7), "si16", algorithm, MAP, 0.5)) == code


@pytest.mark.parametrize("algorithm", ["dsc", "winograd"])
def test_sums_that_might_not_fit_are_refused(algorithm: str):
    """64 times a sum of 9 * 150 products of 255 and 127 is more than 2^31; 4 times is not."""
    shape = Shape(1, 150, (5, 5), 3, Window((3, 3)))
    weights = np.full((3, 150, 3, 3), 127, np.int8)
    sample = layer(np.random.default_rng(8), "ui8", algorithm, shape, 1.0, weights=weights)
    taus = {"tau": 0} if algorithm == "dsc" else {}
    assert refused(choose(sample, algorithm, tile=4, **taus)) == {"dsc": "HAP0724", "winograd": "HAP0719"}[algorithm]
    check([choose(sample, algorithm, tile=2, **taus)], HOSTS["native"])


@pytest.mark.parametrize("lists", [True, False])
@pytest.mark.parametrize(
    "machine", [FOREIGN[0], *(pytest.param(m, marks=pytest.mark.slow) for m in FOREIGN[1:])], ids=str
)
def test_other_machines(machine: Machine, lists: bool, monkeypatch: pytest.MonkeyPatch):
    """Integers only: both kernels by minimal filtering, and the lists."""
    use_lists(monkeypatch, lists)
    rng = np.random.default_rng(9)
    layers = [choose(a_layer(rng, kind, MAP), "dsc", tau=3, tile=tile) for kind in ("ui8", "si8") for tile in (2, 4)]
    check(layers, machine)
