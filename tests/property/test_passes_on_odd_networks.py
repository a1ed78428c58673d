"""Every pass over networks and data that are odd: a diagnostic, or a network that verifies and computes with finite
numbers; never a silent NaN, a traceback or a warning of numpy.

The default run takes a seeded sample of the product of pipelines, networks and oddities; `-m slow` takes all of it. A
pass that is not in the table of pipelines fails.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from xdsl.dialects.builtin import FloatAttr
from xdsl.ir import Operation

from hapir.context import HapirContext
from hapir.diagnostics import HapirError
from hapir.dialects.num import is_float
from hapir.lowering.compress.structure.structure_prune import Structure
from hapir.lowering.constants import constant_value, is_constant
from hapir.lowering.network_edits import networks_of
from hapir.pipeline_text import read_passes
from hapir.reference.interpret import run_network
from hapir.registry import HAPIR
from tests.property.odd_networks import (
    BEYOND_SUMS,
    BROKEN_FILES,
    DATA,
    NOT_FINITE,
    ODDITIES,
    SHAPES,
    good_data,
    odd_sample,
)
from tests.property.strategies import Sample

FILE = '"d.npz"'
FOLDED = f"fold_batch_norm,quantize{{calibration={FILE}"

STEPS: dict[str, tuple[str, ...]] = {
    "abc_net": ("abc_net", 'abc_net{bases=1 granularity="channel" zeros="fit"}', 'abc_net{bases=8 zeros="fit"}'),
    "addnet": (
        "addnet",
        'addnet{coefficients="three_add" scale="divergence" granularity="channel"}',
        'addnet{coefficients="two_add_match" form="integers"}',
        'addnet{scale="maximum" form="integers"}',
    ),
    "alf_deploy": ("alf_deploy", "alf_deploy{codes=1}"),
    "bias_correction": (
        f'quantize_weights{{weights="i2"}},bias_correction{{calibration={FILE}}}',
        f"bias_correction{{calibration={FILE}}}",
    ),
    "bsg": (
        'bsg{code=8 slice=2,2,3,3 keep_first=false veto="none"}',
        'bsg{code=3 slice=2,2 keep_first=false veto="none"}',
    ),
    "bwn": ("bwn", 'bwn{granularity="tensor" zeros="positive"}', f"bwn,quantize{{calibration={FILE}}}"),
    "choose_kernels": ("choose_kernels", f"{FOLDED}}},choose_kernels"),
    "crelu": ("crelu", "crelu{tolerance=1.0}"),
    "csg": (
        'csg{code=2 slice=2,2,3,3 keep_first=false veto="none"}',
        'csg{slice=2,2 keep_first=false veto="none"}',
        "csg",
    ),
    "dorefa": (
        "dorefa",
        'dorefa{bits=3 zeros="positive" activation_bits=2}',
        'dorefa{bits=8 scale="maximum"}',
        'dorefa{bits=2 scale="unit"}',
    ),
    "encode": (
        "encode",
        'encode{encoding="huffman"}',
        'encode{encoding="crs"}',
        'twn,encode{encoding="trits"}',
        "k_means{bits=2},encode",
    ),
    "equalize": ("equalize", 'fold_batch_norm,equalize{factors="powers_of_two"}'),
    "filter_prune": (
        "filter_prune{sparsity=0.5}",
        'filter_prune{sparsity=0.3 criterion="magnitude" bits=4}',
        "filter_prune{budget=0.5 multiple_of=2}",
    ),
    "fixed_point": (
        "fixed_point",
        'fixed_point{bits=2 method="sqnr"}',
        f'fixed_point{{activation_bits=4 calibration={FILE} method="sqnr"}},quantize{{calibration={FILE}}}',
    ),
    "fold_batch_norm": ("fold_batch_norm", 'fold_batch_norm{standalone="convolution"}'),
    "fold_constants": ("fold_constants", "twn,fold_constants"),
    "fuse": ("fuse", f"{FOLDED}}},fuse"),
    "infer_nn_shapes": ("infer_nn_shapes",),
    "integer_products": ("integer_products", "twn,integer_products", f"{FOLDED}}},integer_products"),
    "integer_scales": (
        f'{FOLDED} requantize="float"}},integer_scales',
        f'{FOLDED} requantize="float"}},integer_scales{{multiplier_bits=2 max_shift=0 rounding="floor"}}',
    ),
    "k_means": (
        "k_means",
        'k_means{bits=1 start="density" keep_zeros=false}',
        'k_means{bits=8 start="random" granularity="channel"}',
        'k_means{centroids="fixed(1, 6)"}',
    ),
    "keep_accuracy": (
        f"keep_accuracy{{data={FILE} within=0.5}}",
        f'keep_accuracy{{data={FILE} at_least=0.0 evaluator="agreement"}}',
        f'twn,keep_accuracy{{data={FILE} at_least=-300.0 evaluator="sqnr"}}',
    ),
    "log2": (
        "log2",
        'log2{bits=2 rounding="log" small="lowest" granularity="channel"}',
        'log2{form="integers"}',
        "log2{highest=0}",
    ),
    "low_rank": (
        'low_rank{rank=1 veto="none"}',
        'low_rank{veto="none" split="spatial"}',
        'low_rank{budget=0.5 split="input"}',
    ),
    "lower_to_rtl": ("lower_to_rtl",),
    "lq_net": ("lq_net", 'lq_net{bits=1 granularity="channel"}', "lq_net{bits=8}"),
    "mixed_precision": (
        f"mixed_precision{{data={FILE} average_bits=4}}",
        f'mixed_precision{{data={FILE} within=0.5 evaluator="agreement" activations="u4"}}',
    ),
    "n_ary": (
        "n_ary",
        'n_ary{kind="quinary" thresholds="quantile" shares=0.2,0.2,0.2,0.2,0.2 granularity="channel"}',
        "n_ary{t=2}",
    ),
    "precision": (
        'precision{layers="*" weights="i2" activations="u1"}',
        f'precision{{layers="*" activations="u4" sigmas=3}},quantize{{calibration={FILE}}}',
    ),
    "prune": (
        "prune{sparsity=0.5}",
        'prune{sparsity=0.5 grain="filter"}',
        'prune{sparsity=0.5 grain="channel" criterion="l2" shrink=false}',
        "prune{threshold=1}",
        'prune{grain="n_of_m"}',
        'prune{sparsity=0.7 grain="block" scope="global"}',
        'prune{sparsity=0.99 grain="kernel" criterion="random"}',
    ),
    "quantize": (
        f"quantize{{calibration={FILE}}}",
        f'{FOLDED} weights="i2" activations="u1" method="sqnr" weight_method="mse"}}',
        f'{FOLDED} method="percentile" granularity="tensor" weight_method="percentile" requantize="float"}}',
        f'{FOLDED} method="mse" activations="i8" granularity="group" weight_method="sqnr"}}',
        f'{FOLDED} method="gamma"}}',
    ),
    "quantize_weights": (
        "quantize_weights",
        'quantize_weights{weights="i2" granularity="tensor" method="mse"}',
        'quantize_weights{weights="i4" granularity="input_group" method="sqnr"}',
        'quantize_weights{granularity="group" method="percentile" percentile=60}',
    ),
    "read_codes": ("read_codes", f"{FOLDED}}},read_codes"),
    "rao": (
        f"rao{{data={FILE} within=0.3 eps=0.25 value_bits=4 max_bits=2}}",
        f'rao{{data={FILE} at_least=5 evaluator="sqnr" eps=0.5 order="sensitivity" max_bits=1 start="density"}}',
    ),
    "round_weights": (
        'round_weights{format="bfloat"}',
        'round_weights{format="minifloat(4, 3)" parameters="all"}',
        'round_weights{format="fixed(1, 6)"}',
        'round_weights{format="i8"}',
    ),
    "separable": ('separable{veto="none"}', 'separable{veto="none" energy=0.5}'),
    "structure_prune": (
        *(f'structure_prune{{structures="{s}" sparsity=0.4 criterion="psp"}}' for s in get_args(Structure)),
        'structure_prune{structures="column" threshold=0.5 criterion="l2"}',
        'structure_prune{structures="layer" threshold=2 criterion="magnitude" shrink=false}',
    ),
    "syq": (
        "syq",
        'syq{granularity="asymmetric" scale="mean"}',
        'syq{granularity="row" kind="binary" zeros="positive"}',
        'syq{granularity="group" threshold=2}',
    ),
    "threshold": ("threshold", f'{FOLDED} activations="u2"}},threshold'),
    "ttq": ("ttq", "ttq{threshold=1 symmetric=true}", 'ttq{threshold=0 tie="nonzero"}'),
    "tucker": ('tucker{veto="none"}', 'tucker{method="cp" output_rank=2 veto="none"}'),
    "tile_kernels": ("tile_kernels", "choose_kernels,tile_kernels"),
    "twn": ("twn", 'twn{granularity="channel" threshold="optimal"}', "twn{factor=0}"),
    "use_multiplier": (
        'use_multiplier{multiplier="exact"}',
        f'{FOLDED}}},use_multiplier{{multiplier="truncated(2)"}}',
    ),
    "xnor_net": (
        "xnor_net",
        f'xnor_net{{calibration={FILE} granularity="tensor" zeros="positive"}}',
        f"xnor_net{{calibration={FILE} center=true}}",
    ),
    "simplify_arithmetic": ("simplify_arithmetic",),
    "cancel_transposes": ("cancel_transposes",),
    "simplify_shapes": ("simplify_shapes",),
    "join_paddings": ("join_paddings",),
    "recognize_pools": ("recognize_pools",),
    "join_biases": ("join_biases",),
    "recognize_norms": ("recognize_norms",),
    "grow_concats": ("grow_concats",),
    "recognize_activations": ("recognize_activations",),
}
"""Pipelines that take each pass through its options; a pass behind others meets what they leave."""

READ_DATA = [name for name, steps in STEPS.items() if any(FILE in text for text in steps)]
ALL_DATA, DATA_SHAPES = [*DATA, *BROKEN_FILES], ["chain", "tiny"]

Case = tuple[str, str, str]
"""A pipeline, the shape of the network, and the oddity of its weights or of its data."""

NETWORKS_EACH, DATA_EACH = 8, 8
"""Cases per pipeline of the default run."""


@pytest.fixture(autouse=True)
def no_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    """Searches keep nothing."""
    monkeypatch.setenv("HAPIR_NO_CACHE", "1")


def test_every_pass_is_here() -> None:
    assert set(STEPS) == set(HAPIR.all_passes)
    for name, steps in STEPS.items():
        assert all(name in text for text in steps), f"the steps of {name} do without it"


@contextmanager
def warnings_are_errors() -> Generator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def computes_finite(sample: Sample, context: HapirContext, inputs: dict[str, np.ndarray]) -> bool:
    """Whether a network gave finite results before anything was done to it."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        results = run_network(sample.network, context.weights, inputs)
    return all(np.isfinite(array).all() for array in results.values())


def check_parameter(op: Operation, context: HapirContext, *, finite: bool) -> None:
    """What a pass says about a parameter is a number, and so are its reals where those it began with were."""
    for name, attribute in op.attributes.items():
        assert not (isinstance(attribute, FloatAttr) and np.isnan(attribute.value.data)), (op.name, name)
    for value in op.results:
        if finite and is_constant(value) and is_float(value):
            assert np.isfinite(constant_value(value, context.weights)).all(), op


def outcome(
    text: str, sample: Sample, folder: Path, *, finite_weights: bool = True, finite_results: bool = True
) -> str | None:
    """Run a pipeline and check what comes of it: the code of a good diagnostic, or None for a good network."""
    context = HapirContext(weights=sample.weights.copy(), folder=folder)
    module = sample.module()
    context.remember_original(module)
    inputs = sample.inputs(2, seed=1)
    stays_finite = finite_results and computes_finite(sample, context, inputs)
    with warnings_are_errors():
        try:
            for step in read_passes(text, "pipeline"):
                step.what.apply(context, module)
                module.verify()
        except HapirError as error:
            for found in error.diagnostics:
                assert found.code.startswith("HAP"), found
                assert found.message, found
                assert found.help, f"{found.code} gives no help: {found.message}"
            return error.diagnostics[0].code
        for op in module.walk():
            check_parameter(op, context, finite=finite_weights)
        if stays_finite:
            for network in networks_of(module):
                for name, array in run_network(network, context.weights, inputs).items():
                    assert np.isfinite(array).all(), name
    return None


def check(text: str, shape: str, oddity: str, folder: Path) -> None:
    """One pipeline on one odd network, with data as they should be."""
    sample = odd_sample(shape, oddity)
    np.savez(folder / "d.npz", allow_pickle=False, **good_data(sample))
    weights, results = oddity not in NOT_FINITE or shape == "weightless", oddity not in BEYOND_SUMS
    outcome(text, sample, folder, finite_weights=weights, finite_results=weights and results)


def check_data(text: str, shape: str, data: str, folder: Path) -> None:
    """One pipeline on a usual network, with odd data."""
    sample = odd_sample(shape, None)
    path = folder / "d.npz"
    arrays = good_data(sample)
    np.savez(path, allow_pickle=False, **(DATA[data](arrays) if data in DATA else arrays))
    if data in BROKEN_FILES:
        BROKEN_FILES[data](path)
    outcome(text, sample, folder)


def cases(name: str, oddities: Sequence[str], shapes: Sequence[str], *, data: bool, count: int | None) -> list[Case]:
    """What a pass is taken through: everything, or a seeded sample of so many for each of its pipelines."""
    draw = np.random.default_rng([len(oddities), *name.encode()])
    found: list[Case] = []
    for text in STEPS[name]:
        if data and FILE not in text:
            continue
        pairs = list(product(shapes, oddities))
        chosen = range(len(pairs)) if count is None else sorted(draw.choice(len(pairs), count, replace=False))
        found += [(text, *pairs[i]) for i in chosen]
    return found


def run_all(cases: Sequence[Case], run: Callable[[str, str, str, Path], None], folder: Path) -> None:
    """Run cases one after the other; the one that fails is named."""
    for i, case in enumerate(cases):
        place = folder / str(i)
        place.mkdir()
        try:
            run(*case, place)
        except BaseException as error:
            error.add_note(f"case {case}")
            raise


@pytest.mark.parametrize("name", STEPS)
def test_odd_networks(name: str, tmp_path: Path) -> None:
    run_all(cases(name, list(ODDITIES), list(SHAPES), data=False, count=NETWORKS_EACH), check, tmp_path)


@pytest.mark.parametrize("name", READ_DATA)
def test_odd_data(name: str, tmp_path: Path) -> None:
    run_all(cases(name, ALL_DATA, DATA_SHAPES, data=True, count=DATA_EACH), check_data, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", STEPS)
def test_all_odd_networks(name: str, tmp_path: Path) -> None:
    run_all(cases(name, list(ODDITIES), list(SHAPES), data=False, count=None), check, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", READ_DATA)
def test_all_odd_data(name: str, tmp_path: Path) -> None:
    run_all(cases(name, ALL_DATA, DATA_SHAPES, data=True, count=None), check_data, tmp_path)
