"""mixed_precision keeps budgets and bounds, changes nothing but annotations, and quantize carries them out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

import hapir
from hapir.diagnostics import HapirError
from hapir.dialects.nn import NetworkOp
from hapir.dialects.nn_macs import macs
from hapir.dialects.num import shape_of, unsigned
from hapir.lowering.compress.activation_types import activation_types
from hapir.lowering.compress.annotations import asked_of, asked_weight_width, drop_annotations
from hapir.lowering.compress.calibration import RangeRule
from hapir.lowering.compress.observe_activations import observe_activations
from hapir.lowering.compress.search.judge import Judge
from hapir.lowering.compress.search.mixed_precision import MixedPrecisionPass
from hapir.lowering.compress.weight_slots import WeightSlot, weight_slots
from hapir.lowering.compress.weights.quantize_weights import QuantizeWeightsPass
from hapir.pipeline import ir_text
from hapir.reference.values import Array
from hapir.weights import WeightStore
from tests.property.pipelines import CALIBRATION, Compilation, compilation
from tests.property.strategies import FEATURES, Sample, networks
from tests.property.test_pass_rao import copied_to, has_weights

SAMPLES = networks(max_layers=5, allow=FEATURES - {"argmax", "batch_norm"})
QUIET = [HealthCheck.too_slow, HealthCheck.filter_too_much]
BY_BITS = MixedPrecisionPass(CALIBRATION, average_bits=4)


@pytest.fixture(autouse=True)
def no_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    """Journals of drawn networks are of no use to anybody."""
    monkeypatch.setenv("HAPIR_NO_CACHE", "1")


def annotated(sample: Sample, options: MixedPrecisionPass) -> Compilation:
    """A sample with annotations, on its own inputs."""
    compiled = compilation(sample, sample.inputs(8))
    assume(has_weights(compiled))
    compiled.ctx.remember_original(compiled.module)
    return compiled.apply(options)


def slots(compiled: Compilation) -> list[WeightSlot]:
    return weight_slots(compiled.network, "*")


def width_of(slot: WeightSlot) -> int:
    """The bits asked for."""
    width = asked_weight_width(slot.op)
    assert width is not None
    return width


@settings(max_examples=20, deadline=None, suppress_health_check=[*QUIET, HealthCheck.function_scoped_fixture])
@given(SAMPLES, st.sampled_from((2.0, 2.5, 4.0, 6.7, 8.0)), st.sampled_from(("exact", "greedy")))
def test_bits_stay_within_their_average_and_nothing_else_changes(sample: Sample, average: float, method: str) -> None:
    options = replace(BY_BITS, average_bits=average, method=method)  # pyright: ignore[reportArgumentType]  # one of two
    compiled = annotated(sample, options)
    sizes = [int(np.prod(shape_of(slot.value))) for slot in slots(compiled)]
    bits = sum(size * width_of(slot) for size, slot in zip(sizes, slots(compiled), strict=True))
    assert bits <= Fraction(str(average)) * sum(sizes)
    for op in compiled.network.walk():
        drop_annotations(op)
    assert ir_text(compiled.module) == ir_text(compilation(sample).module)


@settings(max_examples=10, deadline=None, suppress_health_check=[*QUIET, HealthCheck.function_scoped_fixture])
@given(SAMPLES, st.sampled_from((2.0, 2.7, 3.0, 4.5)), st.sampled_from(("exact", "greedy")))
def test_no_uniform_format_within_the_budget_scores_better(sample: Sample, average: float, method: str) -> None:
    """What is measured is what `quantize_weights` makes of the annotations, so both can be scored afterwards."""
    options = replace(BY_BITS, average_bits=average, method=method)  # pyright: ignore[reportArgumentType]  # one of two
    compiled = annotated(sample, options)
    judge = Judge.of(compiled.network, compiled.ctx, "sqnr", CALIBRATION, None)
    found = compiled.apply(QuantizeWeightsPass())
    score = judge.score(found.network, found.ctx.weights)
    for width in range(2, int(average) + 1):
        uniform = compilation(sample, sample.inputs(8)).apply(QuantizeWeightsPass(weights=f"i{width}"))  # pyright: ignore[reportArgumentType]  # i2 to i4
        assert judge.score(uniform.network, uniform.ctx.weights) <= score + 1e-6


@settings(max_examples=10, deadline=None, suppress_health_check=[*QUIET, HealthCheck.function_scoped_fixture])
@given(SAMPLES, st.sampled_from((0.1, 0.3, 0.7)))
def test_bit_operations_stay_within_their_share(sample: Sample, share: float) -> None:
    options = replace(BY_BITS, average_bits=None, bit_operations=share, activations=("u2", "u4", "u8"))
    try:
        compiled = annotated(sample, options)
    except HapirError as error:
        # an input of the network has 8 bits, with weights of 2 bits a quarter of the bit operations is left
        assert [d.code for d in error.diagnostics] == ["HAP0583"]  # noqa: PT017  # only some samples miss it
        assert share < 0.25
        return
    inputs = sample.inputs(8)
    seen = observe_activations(compiled.network, compiled.ctx.weights, inputs, histograms=False)
    types = activation_types(compiled.network, seen, unsigned(8), RangeRule())
    layers = {slot.op: slot for slot in slots(compiled)}  # a recurrent layer has two arrays
    reads = [(slot, types[op.operands[0]].storage.width.data) for op, slot in layers.items()]
    done = sum(macs(slot.op) * width_of(slot) * activation for slot, activation in reads)
    assert done <= Fraction(str(share)) * 64 * sum(macs(op) for op in layers)


@settings(max_examples=10, deadline=None, suppress_health_check=[*QUIET, HealthCheck.function_scoped_fixture])
@given(SAMPLES, st.sampled_from((10.0, 20.0, 30.0)))
def test_a_bound_holds_for_the_weights_that_come_out(sample: Sample, at_least: float) -> None:
    """With weights only, what was measured is what `quantize_weights` makes of the annotations."""
    options = replace(BY_BITS, average_bits=None, at_least=at_least)
    try:
        compiled = annotated(sample, options)
    except HapirError as error:
        assert [d.code for d in error.diagnostics] == ["HAP0583"]  # noqa: PT017  # only some samples miss the bound
        return
    judge = Judge.of(compiled.network, compiled.ctx, "sqnr", CALIBRATION, None)
    compiled.apply(QuantizeWeightsPass())
    assert judge.score(compiled.network, compiled.ctx.weights) >= at_least - 1e-6


SPEC = """\
hap 1
import "digits.hap"
recipe r {{
    fold_batch_norm()
    mixed_precision(data = "digits_calib.npz", {options})
    quantize(calibration = "digits_calib.npz")
}}
schedule s of digits with r {{ }}
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The digits in a folder of their own."""
    return copied_to(tmp_path_factory.mktemp("mixed"))


def widths(project: Path, options: str) -> dict[str, tuple[int | None, int | None]]:
    """The bits of weights and results that each layer is annotated with."""
    (project / "s.hap").write_text(SPEC.format(options=options), encoding="utf-8")
    compiled = hapir.load(project / "s.hap").schedule("s").compiled
    before = dict(compiled.snapshots)["mixed_precision"]
    (network,) = (op for op in before.body.block.ops if isinstance(op, NetworkOp))
    found: dict[str, tuple[int | None, int | None]] = {}
    for slot in weight_slots(network, "*"):
        storage = asked_of(slot.op).storage
        name = str(slot.op.properties["layer"])
        found[name] = asked_weight_width(slot.op), None if storage is None else storage.width.data
    return found


USUAL = "average_bits = 4, samples = 32"


@pytest.fixture(scope="module")
def usual(project: Path) -> dict[str, tuple[int | None, int | None]]:
    """What the options that the others are compared with give."""
    return widths(project, USUAL)


def test_quantize_carries_the_annotations_out(project: Path) -> None:
    found = widths(project, "bit_operations = 30 %, activations = [u4, u8], samples = 32")
    scheduled = hapir.load(project / "s.hap").schedule("s")
    types = {str(op.results[0].type) for op in scheduled.network.walk() if op.name == "nn.weight"}
    for weight, _ in found.values():
        assert any(f"!num.per_channel<si{weight}," in text for text in types)
    result = scheduled.run(on="c", inputs=project / "digits_calib.npz", limit=16)
    assert result.mismatches_vs_reference == 0


def stored_bytes(project: Path, size: int) -> int:
    """What the weights of layers and their scales take in the file that `hapir compile` writes, packed."""
    recipe = SPEC.replace('digits_calib.npz")\n}}', 'digits_calib.npz")\n    encode(encoding = dense)\n}}')
    (project / "e.hap").write_text(recipe.format(options=f"size = {size}, samples = 16"), encoding="utf-8")
    hapir.load(project / "e.hap").schedule("s").compile(project / "out", ["c"])
    arrays = WeightStore.load(project / "out" / "weights.safetensors")
    assert any(key.endswith(".dense.codes") for key in arrays)
    return sum(array.nbytes for key, array in arrays.items() if ".weight." in key)


def test_the_size_is_that_of_the_weights_file(project: Path) -> None:
    """A budget is kept in bytes of the file, and what a plan is said to take is what it takes."""
    for size in (6000, 9001, 14_000):
        found = stored_bytes(project, size)
        assert found <= size
        assert stored_bytes(project, found) == found, "it fits into what it takes"
        assert stored_bytes(project, found - 1) < found


@pytest.mark.parametrize(
    "other",
    [
        *("average_bits = 3, samples = 32", "size = 5000, samples = 32", "bit_operations = 25 %, samples = 32"),
        *("within = 0 %, evaluator = agreement, samples = 32", "at_least = 12 dB, samples = 32"),
        *(f"{USUAL}, weights = [i3, i5]", f"{USUAL}, activations = [u4]", f'{USUAL}, layers = "c*"'),
        *(f"{USUAL}, evaluator = accuracy", "average_bits = 4, samples = 1"),
    ],
)
def test_each_option_counts(project: Path, usual: dict[str, tuple[int | None, int | None]], other: str) -> None:
    assert widths(project, other) != usual


def test_of_equal_scores_more_bits_are_better(project: Path) -> None:
    """The classes of two images stay what they are: nothing says so but the rounding itself."""
    found = widths(
        project,
        "bit_operations = 100 %, weights = [i7, i8], activations = [u7, u8], evaluator = agreement, samples = 2",
    )
    assert {weights for weights, _ in found.values()} == {8}
    assert {results for _, results in found.values()} <= {8, None}
    assert (8, 8) in {(weights, results) for weights, results in found.values()}


def test_the_goal_and_the_method_count(project: Path) -> None:
    bound = "at_least = 25 dB, samples = 32"
    assert widths(project, bound) != widths(project, f"{bound}, goal = performance")
    budgets = [f"average_bits = {n / 10}, samples = 32" for n in (25, 31, 33, 38)]
    assert any(widths(project, b) != widths(project, f"{b}, method = greedy") for b in budgets)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ("size = 100", "the least that these formats can take is "),
        ("average_bits = 2, weights = [i3, i8]", "the narrowest formats take 3 bits per weight, not 2"),
        ("bit_operations = 1 %", "the narrowest formats leave 25 % of the bit operations"),
        ("at_least = 30 dB, weights = [i2]", "even the plan that loses least misses the bound"),
    ],
)
def test_what_cannot_be_met_is_refused(project: Path, options: str, says: str) -> None:
    with pytest.raises(HapirError) as raised:
        widths(project, f"{options}, samples = 16")
    assert [d.code for d in raised.value.diagnostics] == ["HAP0583"]
    assert says in raised.value.diagnostics[0].message


def test_a_search_that_is_stopped_goes_on(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, usual: dict[str, tuple[int | None, int | None]]
) -> None:
    monkeypatch.delenv("HAPIR_NO_CACHE")
    monkeypatch.setenv("HAPIR_CACHE", str(tmp_path))
    counted = 0
    score = Judge.score

    def stopping(judge: Judge, network: NetworkOp, weights: Mapping[str, Array] | WeightStore) -> float:
        nonlocal counted
        counted += 1
        if counted == 10:
            raise KeyboardInterrupt
        return score(judge, network, weights)

    monkeypatch.setattr(Judge, "score", stopping)
    with pytest.raises(KeyboardInterrupt):
        widths(project, USUAL)
    assert widths(project, USUAL) == usual
    single, plans = 4 * 7, counted - 2 - 4 * 7
    # the one that was interrupted is asked again: 1, then each width of 4 layers; then plans, and each width once more
    assert counted == 1 + 1 + single + plans
    assert 1 < plans <= 2 * 7 + 1 + single
