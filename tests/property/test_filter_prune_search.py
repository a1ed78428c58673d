"""filter_prune under a bound: it holds for any evaluator, asks no more than said, and goes on where it was stopped."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

import hapir
from hapir.diagnostics import HapirError
from hapir.dialects.nn import NetworkOp
from hapir.dialects.num import shape_of
from hapir.lowering.compress.channel_groups import channel_groups
from hapir.lowering.compress.search.judge import Judge
from hapir.lowering.compress.search.trial import Score, Trial
from hapir.lowering.compress.structure.filter_prune import FilterPrunePass
from hapir.pipeline import ir_text
from hapir.reference.values import Array
from tests.property.pipelines import Compilation, compilation
from tests.property.pruned_pairs import cost, layers
from tests.property.strategies import Sample, networks
from tests.property.test_pass_filter_prune import chain
from tests.property.test_pass_rao import copied_to, weights_in

SAMPLES = networks(max_layers=4, max_channels=9, allow={"conv2d", "padding", "relu", "bias", "add"})
QUIET = [HealthCheck.too_slow, HealthCheck.filter_too_much]
BOUND = FilterPrunePass(at_least=0.5, data="d.npz")


def search(options: FilterPrunePass, compiled: Compilation, score: Score, floor: float = 0.5) -> Trial:
    """Search by any score, in Python."""
    trial = Trial(compiled.network, compiled.ctx.weights, score, floor)
    options.search(trial, compiled.ctx.weights)
    compiled.module.verify()
    return trial


def filters(compiled: Compilation) -> list[int]:
    return [shape_of(op.w)[0] for op in layers(compiled)]


@settings(max_examples=30, deadline=None, suppress_health_check=QUIET)
@given(SAMPLES, st.integers(0, 1 << 16), st.sampled_from((1, 2)), st.sampled_from((0.1, 0.4)))
def test_the_bound_holds_for_any_evaluator(sample: Sample, seed: int, multiple_of: int, step: float) -> None:
    compiled = compilation(sample)
    assume(layers(compiled))
    before = filters(compiled)
    good: list[list[Array]] = []

    def score(network: NetworkOp, arrays: Mapping[str, Array]) -> float:
        """A number without rhyme or reason, but the same for the same weights; the untouched network scores 1."""
        found = weights_in(network, arrays)
        state = hashlib.sha256(str(seed).encode())
        for w in found:
            state.update(w.tobytes())
        result = 1.0 if [len(w) for w in found] == before else 0.2 + state.digest()[0] / 255
        if result >= 0.5:
            good.append(found)
        return result

    options = replace(BOUND, multiple_of=multiple_of, step=step)
    try:
        trial = search(options, compiled, score)
    except HapirError as error:
        assert error.diagnostics[0].code in ("HAP0512", "HAP0562", "HAP0583")  # noqa: PT017  # only some samples do
        return
    left = weights_in(compiled.network, compiled.ctx.weights)
    assert [w.tobytes() for w in left] == [w.tobytes() for w in good[-1]], "what was measured last is what is kept"
    assert cost(compiled) <= cost(compilation(sample))
    groups = channel_groups(compiled.network)
    for op in layers(compiled):
        assert not groups.free(op.result) or shape_of(op.w)[0] % multiple_of == 0
    # of each step that was measured it is known whether it was taken, and a layer is refused once
    assert trial.asked <= 1 + len(trial.decisions) + len(before)


def test_steps_go_on_as_long_as_the_score_allows() -> None:
    """With a score that is the share of the multiplications left, a bound is a budget that is not quite used up."""
    sample = chain(8, 20, 6, 2)
    whole = cost(compilation(sample))

    def score(network: NetworkOp, arrays: Mapping[str, Array]) -> float:
        found = weights_in(network, arrays)
        share = sum(16 * w.size for w in found) / whole
        if share >= 0.5:
            good.append([w.tolist() for w in found])
        return share

    good: list[object] = []
    small = compilation(sample)
    trial = search(replace(BOUND, step=0.05), small, score)
    assert 0.5 <= cost(small) / whole < 0.56
    # c2 costs most and loses first; the last layer makes the result and stays
    assert trial.decisions[0] == "c2 keeps 19"
    assert filters(small)[3] == 2
    assert [w.tolist() for w in weights_in(small.network, small.ctx.weights)] == good[-1], "what was measured is kept"
    # what no score forbids goes on to the last filter, or the last multiple
    for multiple_of, left in ((1, [1, 1, 1, 2]), (2, [2, 2, 2, 2])):
        free = compilation(sample)
        search(replace(BOUND, multiple_of=multiple_of), free, lambda _, __: 1.0)
        assert filters(free) == left


def test_steps_are_taken_in_the_order_in_which_they_were_measured() -> None:
    """What a layer ranks its filters by depends on the inputs that are left: another order keeps other filters."""
    compiled, measured = compilation(chain(24, 20, 24, 4)), list[list[bytes]]()

    def score(network: NetworkOp, arrays: Mapping[str, Array]) -> float:
        measured.append([w.tobytes() for w in weights_in(network, arrays)])
        return 1.0

    search(replace(BOUND, step=0.3, multiple_of=2), compiled, score)
    assert [w.tobytes() for w in weights_in(compiled.network, compiled.ctx.weights)] == measured[-1]
    assert filters(compiled) == [2, 2, 2, 4]


def test_a_refused_layer_is_left_alone_and_the_others_go_on() -> None:
    compiled = compilation(chain(8, 20, 6, 2))
    seen: list[tuple[int, ...]] = []

    def score(network: NetworkOp, arrays: Mapping[str, Array]) -> float:
        seen.append(tuple(len(w) for w in weights_in(network, arrays)))
        return float(seen[-1][1] >= 17)

    search(BOUND, compiled, score)
    assert filters(compiled) == [1, 17, 1, 2]
    assert [sizes[1] for sizes in seen if sizes[1] < 17] == [16]


def test_the_bound_is_checked_before_anything_is_pruned() -> None:
    compiled = compilation(chain(8, 6, 2))
    text = ir_text(compiled.module)
    with pytest.raises(HapirError, match=r"HAP0583: the network scores 0 before the search, at least 0.5 is asked for"):
        search(BOUND, compiled, lambda _, __: 0.0)

    def only_as_it_is(network: NetworkOp, arrays: Mapping[str, Array]) -> float:
        return float(len(weights_in(network, arrays)[0]) == 8)

    with pytest.raises(HapirError, match="HAP0583: the network misses the bound with filters in multiples of 3"):
        search(replace(BOUND, multiple_of=3, layers=("c1", "c2")), compiled, only_as_it_is)
    assert ir_text(compiled.module) == text


def test_options_that_do_not_go_together() -> None:
    for options, says in (
        ({"within": 0.1}, "`data` is what"),
        ({"sparsity": 0.1, "data": "d.npz"}, "`data` is what"),
        ({"within": 0.1, "budget": 0.5, "data": "d.npz"}, "one of the three"),
        ({"within": 0.1, "sparsity": 0.5, "data": "d.npz"}, "one of the three"),
        ({"within": 0.1, "data": "d.npz", "shrink": False}, "leave `shrink` out"),
        ({"within": 2.0, "data": "d.npz"}, "`within` of filter_prune is 2, it must be 0 to 1"),
    ):
        with pytest.raises(ValueError, match=says):
            FilterPrunePass(**options)  # pyright: ignore[reportArgumentType]  # one dict of options of several types


SPEC = """\
hap 1
import "digits.hap"
recipe r {{
    fold_batch_norm()
    filter_prune(data = "digits_calib.npz", {options})
}}
schedule s of digits with r {{ }}
"""
USUAL = "within = 8 points, samples = 48, step = 25 %"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The digits in a folder of their own."""
    return copied_to(tmp_path_factory.mktemp("filters"))


def compiled_with(folder: Path, options: str) -> tuple[str, str]:
    """The IR and the digest of the weights that a search leaves."""
    (folder / "s.hap").write_text(SPEC.format(options=options), encoding="utf-8")
    compiled = hapir.load(folder / "s.hap").schedule("s").compiled
    return ir_text(compiled.module), compiled.weights.digest()


@pytest.fixture(scope="module")
def usual(folder: Path) -> tuple[str, str]:
    """What the options that the others are compared with give."""
    return compiled_with(folder, USUAL)


@pytest.mark.parametrize(
    "other",
    [
        *(USUAL.replace("8 points", "1 %"), USUAL.replace("25 %", "40 %"), USUAL.replace("48", "9")),
        *("evaluator = sqnr, at_least = 3 dB, samples = 48, step = 25 %", f"{USUAL}, multiple_of = 5"),
        *(f"{USUAL}, criterion = magnitude", f'{USUAL}, layers = "c1"', f"{USUAL}, constraint = parameters"),
    ],
)
def test_each_option_counts(folder: Path, usual: tuple[str, str], other: str) -> None:
    assert compiled_with(folder, other) != usual


def test_a_search_that_is_stopped_goes_on(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, usual: tuple[str, str]
) -> None:
    monkeypatch.delenv("HAPIR_NO_CACHE", raising=False)
    monkeypatch.setenv("HAPIR_CACHE", str(tmp_path))
    counted = 0
    score = Judge.score

    def stopping(judge: Judge, network: NetworkOp, weights: Mapping[str, Array]) -> float:
        nonlocal counted
        counted += 1
        if counted == 4:
            raise KeyboardInterrupt
        return score(judge, network, weights)

    monkeypatch.setattr(Judge, "score", stopping)
    with pytest.raises(KeyboardInterrupt):
        compiled_with(folder, USUAL)
    assert compiled_with(folder, USUAL) == usual
    (journal,) = (tmp_path / "search").iterdir()
    keys = journal.read_text(encoding="utf-8").split("\n\n")
    assert counted == 1 + len(keys) == 6  # the one that was interrupted is asked again, and no other
