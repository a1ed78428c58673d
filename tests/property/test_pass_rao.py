"""rao keeps its promise with any evaluator, asks as often as it says, and goes on where it was stopped."""

from __future__ import annotations

import hashlib
import math
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import hapir
from hapir.diagnostics import HapirError
from hapir.dialects.nn import NetworkOp, WeightOp
from hapir.lowering.compress.search.judge import Judge
from hapir.lowering.compress.search.rao import RaoPass
from hapir.lowering.compress.weight_slots import weight_slots
from hapir.lowering.constants import constant_value
from hapir.lowering.network_edits import weight_op_of
from hapir.pipeline import ir_text
from hapir.reference.values import Array
from hapir.report.summary import summarize
from hapir.weights import WeightStore
from tests.end_to_end.digits import DIGITS, SPECS
from tests.property.pipelines import Compilation, compilation
from tests.property.strategies import FEATURES, Sample, networks
from tests.property.test_pass_filter_prune import chain

SAMPLES = networks(max_layers=5, allow=FEATURES - {"argmax"})
RAO = RaoPass("d.npz", at_least=0.5)
PRUNE_ONLY = replace(RAO, cluster=False)
QUIET = [HealthCheck.too_slow, HealthCheck.filter_too_much]


def weights_in(network: NetworkOp, weights: Mapping[str, Array]) -> list[Array]:
    """The real weights of each layer, as it computes with them."""
    store = weights if isinstance(weights, WeightStore) else WeightStore(weights)
    return [constant_value(slot.value, store) for slot in weight_slots(network, "*")]


def has_weights(compiled: Compilation) -> bool:
    try:
        return bool(weight_slots(compiled.network, "*"))
    except HapirError:
        return False


@settings(max_examples=25, deadline=None, suppress_health_check=QUIET)
@given(SAMPLES, st.floats(0.02, 0.98), st.sampled_from([1 / 64, 1 / 128, 0.01]))
def test_a_known_limit_is_found_with_the_stated_number_of_questions(sample: Sample, limit: float, eps: float) -> None:
    """HAPPi-Net A5, checks: result in [p* - eps, p*], ceil(log2(1/eps)) evaluations per layer."""
    compiled = compilation(sample)
    if not has_weights(compiled):
        return
    sizes = [w.size for w in weights_in(compiled.network, compiled.ctx.weights)]

    def score(network: NetworkOp, arrays: Mapping[str, Array]) -> float:
        shares = [np.count_nonzero(w == 0) / w.size for w in weights_in(network, arrays)]
        return float(max(shares) <= limit)

    if any(np.count_nonzero(w == 0) for w in weights_in(compiled.network, compiled.ctx.weights)):
        return
    options = replace(PRUNE_ONLY, eps=eps)
    trial = options.compress(compiled.network, compiled.ctx.weights, score, 0.5)
    assert trial.asked == 1 + len(sizes) * math.ceil(math.log2(1 / eps))
    for w in weights_in(compiled.network, compiled.ctx.weights):
        zeros = np.count_nonzero(w == 0)
        # the count is the floor of a share that is at most eps below the limit
        assert math.floor((limit - eps) * w.size + 1e-9) <= zeros <= limit * w.size


@settings(max_examples=25, deadline=None, suppress_health_check=QUIET)
@given(SAMPLES, st.integers(0, 1 << 16), st.sampled_from(["goal", "sensitivity", "given"]))
def test_the_bound_holds_for_any_evaluator(sample: Sample, seed: int, order: str) -> None:
    compiled = compilation(sample)
    if not has_weights(compiled):
        return
    before = [w.copy() for w in weights_in(compiled.network, compiled.ctx.weights)]

    def score(network: NetworkOp, arrays: Mapping[str, Array]) -> float:
        """A number without rhyme or reason, but the same for the same weights; the untouched network scores 1."""
        found = weights_in(network, arrays)
        if all(np.array_equal(a, b) for a, b in zip(found, before, strict=True)):
            return 1.0
        state = hashlib.sha256(str(seed).encode())
        for w in found:
            state.update((w + np.float32(0)).tobytes())
        return state.digest()[0] / 255

    options = replace(RAO, order=order, value_bits=4)  # pyright: ignore[reportArgumentType]  # one of the names above
    options.compress(compiled.network, compiled.ctx.weights, score, 0.5)
    compiled.module.verify()
    assert score(compiled.network, compiled.ctx.weights) >= 0.5


def sparse_share(compiled: Compilation) -> list[float]:
    return [np.count_nonzero(w == 0) / w.size for w in weights_in(compiled.network, compiled.ctx.weights)]


def loss(before: list[Array]):
    """A score that falls with the squared error of all weights."""
    total = sum(float(np.square(w).sum()) for w in before)

    def score(network: NetworkOp, arrays: Mapping[str, Array]) -> float:
        found = weights_in(network, arrays)
        return 1 - sum(float(np.square(a - b).sum()) for a, b in zip(found, before, strict=True)) / total

    return score


@settings(max_examples=15, deadline=None, suppress_health_check=QUIET)
@given(SAMPLES, st.integers(1, 3), st.integers(2, 24))
def test_shared_values_are_few_and_in_fixed_point(sample: Sample, bits: int, value_bits: int) -> None:
    compiled = compilation(sample)
    if not has_weights(compiled):
        return
    before = [w.copy() for w in weights_in(compiled.network, compiled.ctx.weights)]
    options = replace(RAO, min_bits=bits, max_bits=bits, value_bits=value_bits, eps=0.5)
    options.compress(compiled.network, compiled.ctx.weights, loss(before), -math.inf)
    for slot in weight_slots(compiled.network, "*"):
        w = constant_value(slot.value, compiled.ctx.weights)
        left = np.count_nonzero(w)
        if left * bits + (value_bits << bits) < 32 * left:
            values = np.unique(w[w != 0])
            assert len(values) <= 1 << bits
            assert any(
                np.array_equal(whole, np.rint(whole))
                and -1 << value_bits - 1 <= min(whole)
                and max(whole) < 1 << value_bits - 1
                for whole in (values / 2.0 ** (np.frexp(np.abs(values).max())[1] - value_bits + k) for k in (0, 1))
            ), "whole numbers of so many bits, in steps of a power of two"
        else:
            assert isinstance(slot.value.owner, WeightOp), "no codes where they take more than they save"


def test_codes_that_take_more_than_they_save_are_no_codes() -> None:
    """Six weights of 32 bits: 6 indices of 3 bits and 8 values of 22 bits are 194, of 21 bits they are 186."""
    for value_bits, coded in ((22, False), (21, True)):
        compiled = compilation(chain(6, 2))
        options = replace(RAO, layers="c1", min_bits=3, max_bits=3, value_bits=value_bits, eps=0.5)

        def score(network: NetworkOp, arrays: Mapping[str, Array]) -> float:
            return float(bool(weights_in(network, arrays)[0].all()))

        options.compress(compiled.network, compiled.ctx.weights, score, 0.5)
        (slot,) = weight_slots(compiled.network, "c1")
        assert isinstance(slot.value.owner, WeightOp) != coded


DATA = SPECS / "digits_calib.npz"
SPEC = """\
hap 1
import "digits.hap"
recipe r {{
    fold_batch_norm()
    rao(data = "digits_calib.npz", {options})
}}
schedule s of digits with r {{ }}
"""


def copied_to(folder: Path) -> Path:
    """The digits in a folder of their own."""
    for name in ("digits.hap", "digits.safetensors", "digits_calib.npz"):
        (folder / name).write_bytes((SPECS / name).read_bytes())
    return folder


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The digits in a folder of the test's own, with a cache of its own."""
    monkeypatch.setenv("HAPIR_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("HAPIR_NO_CACHE", raising=False)
    return copied_to(tmp_path)


@pytest.fixture(scope="module")
def usual(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """What the options that the others are compared with give."""
    return compiled_with(copied_to(tmp_path_factory.mktemp("usual")), "within = 8 points, eps = 1/8, samples = 48")


def compiled_with(project: Path, options: str) -> tuple[str, str]:
    """The IR and the digest of the weights that a search leaves."""
    (project / "s.hap").write_text(SPEC.format(options=options), encoding="utf-8")
    compiled = hapir.load(project / "s.hap").schedule("s").compiled
    return ir_text(compiled.module), compiled.weights.digest()


def test_a_search_that_is_stopped_goes_on(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options = "within = 4 points, eps = 1/16, max_bits = 4, samples = 48"
    monkeypatch.setenv("HAPIR_CACHE", str(project / "elsewhere"))
    whole = compiled_with(project, options)
    monkeypatch.setenv("HAPIR_CACHE", str(project / "cache"))
    counted = 0
    score = Judge.score

    def counting(judge: Judge, network: NetworkOp, weights: Mapping[str, Array]) -> float:
        nonlocal counted
        counted += 1
        return score(judge, network, weights)

    def stopping(judge: Judge, network: NetworkOp, weights: Mapping[str, Array]) -> float:
        if counted == 7:
            raise KeyboardInterrupt
        return counting(judge, network, weights)

    monkeypatch.setattr(Judge, "score", stopping)
    with pytest.raises(KeyboardInterrupt):
        compiled_with(project, options)
    assert counted == 7
    monkeypatch.setattr(Judge, "score", counting)
    assert compiled_with(project, options) == whole
    # nothing was measured twice: 1, then 4 per layer, then at most 3 per layer
    assert 7 + 4 * 4 < counted <= 1 + 4 * (4 + 3)
    before = counted
    assert compiled_with(project, options) == whole
    assert counted == before
    # other options or other images are another search
    compiled_with(project, options.replace("1/16", "1/2"))
    assert counted > before


@pytest.mark.parametrize(
    "other",
    [
        *("within = 20 points", "eps = 1/4", "cluster = false", "min_bits = 5", "max_bits = 2", "value_bits = 5"),
        *('layers = "c*"', "goal = performance", 'order = given, layers = ["f1", "c*"]'),
        *("evaluator = sqnr, at_least = 9 dB", "start = density", "start = random", "samples = 12"),
    ],
)
def test_each_option_counts(project: Path, usual: tuple[str, str], other: str) -> None:
    given = {"within": "within = 8 points", "eps": "eps = 1/8", "samples": "samples = 48"}
    kept = [
        text for name, text in given.items() if name not in other and not ("at_least" in other and name == "within")
    ]
    assert compiled_with(project, ", ".join([*kept, other])) != usual


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (RAO, "c3 c2 f1 c1"),  # 9216, 4608, 1280 and 144 weights
        (replace(RAO, goal="performance"), "c2 c3 c1 f1"),  # 294 912, 147 456, 9216 and 1280 multiply-accumulates
        (replace(RAO, order="given", layers=("f1", "c*")), "f1 c1 c2 c3"),
        (replace(RAO, order="sensitivity"), "c1 c2 f1 c3"),  # checked below
    ],
)
def test_layers_come_in_the_order_asked_for(options: RaoPass, expected: str) -> None:
    scheduled = hapir.load(DIGITS).schedule("on_tiny", recipe="none")
    module, weights = scheduled.float_module.clone(), scheduled.float_weights.copy()
    (network,) = (op for op in module.body.block.ops if isinstance(op, NetworkOp))
    before = [w.copy() for w in weights_in(network, weights)]
    score = loss(before)
    trial = replace(options, cluster=False, eps=0.25).compress(network, weights, score, 0.5)
    assert " ".join(decision.split()[1].partition(".")[0] for decision in trial.decisions) == expected
    if options.order == "sensitivity":

        def lost(w: Array) -> float:
            """The energy of the half of the weights with the least magnitudes."""
            return float(np.sort(np.square(w), axis=None)[: w.size // 2].sum())

        by_loss = sorted(zip(("c1", "c2", "c3", "f1"), map(lost, before), strict=True), key=lambda pair: pair[1])
        assert " ".join(name for name, _ in by_loss) == expected


@pytest.mark.parametrize("terminal", [True, False])
def test_progress_is_for_terminals(terminal: bool, capsys: pytest.CaptureFixture[str]) -> None:
    scheduled = hapir.load(DIGITS).schedule("on_tiny", recipe="none")
    module, weights = scheduled.float_module.clone(), scheduled.float_weights.copy()
    (network,) = (op for op in module.body.block.ops if isinstance(op, NetworkOp))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys.stderr, "isatty", lambda: terminal)
        replace(RAO, cluster=False, eps=0.5).compress(network, weights, lambda network, arrays: 1.0, 0.5)
    shown = capsys.readouterr().err
    assert shown.startswith("\r\x1b[K1/5 evaluations of rao, ") if terminal else shown == ""


def test_seeds_draw_other_starts(project: Path) -> None:
    first, again, other = (
        compiled_with(project, f"within = 8 points, eps = 1/8, samples = 48, start = random, seed = {seed}")
        for seed in (1, 1, 2)
    )
    assert first == again != other


def test_c_computes_what_the_reference_does(project: Path) -> None:
    compiled_with(project, "within = 4 points, eps = 1/16, samples = 48")
    result = hapir.load(project / "s.hap").schedule("s").run(on="c", inputs=project / "digits_calib.npz", limit=16)
    assert result.max_abs_error is not None
    assert result.max_abs_error < 1e-5


def test_a_network_that_misses_the_bound_at_once_is_refused(project: Path) -> None:
    with pytest.raises(HapirError, match=r"HAP0583: the network scores .* before the search"):
        compiled_with(project, "at_least = 100 %")


def test_weights_that_layers_share_stay_shared() -> None:
    """One array behind two layers is one decision, and one parameter afterwards."""
    scheduled = hapir.load(DIGITS).schedule("on_tiny", recipe="none")
    module = scheduled.float_module.clone()
    (network,) = (op for op in module.body.block.ops if isinstance(op, NetworkOp))
    slots = weight_slots(network, "c*")
    twin = slots[1].op.clone()
    block = slots[1].op.parent
    assert block is not None
    block.insert_op_after(twin, slots[1].op)
    weights = scheduled.float_weights.copy()
    before = weights_in(network, weights)
    trial = replace(PRUNE_ONLY, eps=0.25).compress(network, weights, loss(before), 0.9)
    assert trial.asked == 1 + 4 * 2
    assert slots[1].op.operands[1] is twin.operands[1]
    assert weight_op_of(twin.operands[1]).key.data == "c2.weight.rao"


def test_published_ratios_in_numbers() -> None:
    """HAPPi-Net A5, reporting check: 385x of LeNet-5's 431 080 f32 are 4.48 kB; VGG-16 / 14.5 is 9.54 M, Pr 0.931."""

    def parameters(name: str) -> int:
        path = Path(hapir.__file__).parent / "targets" / "networks" / f"{name}.hap"
        return summarize(hapir.load(path).schedule().network).parameters

    assert parameters("lenet5") == 431_080
    assert round(431_080 * 4 / 385 / 1000, 2) == 4.48
    assert parameters("vgg16") == 138_357_544
    left = 138_357_544 / 14.5
    assert round(left / 1e6, 2) == 9.54
    assert round(1 - left / 138_357_544, 3) == 0.931
