"""Recipes that nobody should write: steps in a wrong order, options out of all proportion, data that are not there.

Each is refused with a code, words that say what is wrong, and a way out that is one.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.projects import run_main, write_project

C = 'calibration = "calib.npz"'
D = 'data = "test.npz"'

REFUSED = {
    # wrong orders
    f"quantize({C}), quantize({C})": ("HAP0506", "quantized already", "quantize once"),
    "threshold()": ("HAP0544", "computes on floats", "call quantize()"),
    "encode(), prune(sparsity = 50 %)": ("HAP0554", "encoded already", "put encode last"),
    "twn(), twn()": ("HAP0595", "coded already", "prune and factor first"),
    "fuse(), prune(sparsity = 50 %)": ("HAP0516", "fused already", "fuse()"),
    f"quantize({C}), twn()": ("HAP0506", "quantized already", "quantize once"),
    "prune(sparsity = 50 %), bwn()": ("HAP0530", "undo the pruning", "ternary codes"),
    # options out of all proportion
    "k_means(bits = 0)": ("HAP0305", "`bits` of k_means is 0", "choose another `bits`"),
    "prune(sparsity = 100 %)": ("HAP0305", "below 1", "choose another `sparsity`"),
    "prune(sparsity = 50)": ("HAP0305", "below 1", "for a share write `sparsity = 50 %`"),
    'precision(layers = "c1", low = 1)': ("HAP0305", "at most 0", "choose another `low`"),
    "quantize_weights(granularity = group, group = 0)": ("HAP0305", "at least 1", "choose another `group`"),
    "csg(code = 4, slice = [1000000, 1000000, 3, 3])": ("HAP0305", "too large", "choose another `slice`"),
    "bsg(code = 65536)": ("HAP0305", "1 to 8192", "choose another `code`"),
    "structure_prune(structures = [], sparsity = 50 %)": ("HAP0305", "is empty", "choose another `structures`"),
    # what is missing is named
    "prune()": ("HAP0305", "how much to prune", "give `sparsity`"),
    f"rao({D})": ("HAP0305", "needs `within`", "give `within` or `at_least`"),
    'precision(layers = "c1")': ("HAP0305", "says nothing", "give `weights`"),
    "fixed_point(activation_bits = 4)": ("HAP0305", "need each other", "or give `calibration`"),
    # scores
    f"keep_accuracy({D}, at_least = 25 dB)": ("HAP0305", "accuracy is a share", "another `at_least`"),
    f"keep_accuracy({D}, at_least = 100 %)": ("HAP0514", "accuracy is 0.", "allow more"),
    f"keep_accuracy({D}, within = 1 dB, evaluator = sqnr)": ("HAP0582", "has no end", "at_least = 25 dB"),
    # files
    'alf_deploy(trained = "test.npz")': ("HAP0573", "no array of a trained layer", "it holds image, label"),
    'csg(matrix = "test.npz")': ("HAP0575", "no array `matrix`", "it holds image, label"),
    'quantize(calibration = "nowhere_to_be_found.npz")': ("HAP0401", "does not exist", "looked for it"),
    'quantize(calibration = "../x.npz")': ("HAP0214", "outside the project", "--allow-outside"),
    'keep_accuracy(data = "calib.npz", within = 0)': ("HAP0405", "no array `label`", "expected class"),
    'quantize(calibration = "huge.npz")': ("HAP0405", "not finite", "weights of the layers"),
}


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with data of several kinds."""
    path = write_project(tmp_path_factory.mktemp("hostile"))
    np.savez(path.parent / "huge.npz", image=np.full((2, 2, 6, 6), 3e38, np.float32))
    return path


def with_recipe(spec: Path, recipe: str) -> Path:
    """A spec of the project whose recipe is another one."""
    text = spec.read_text().replace('quantize(calibration = "calib.npz")', recipe)
    path = spec.with_name("hostile.hap")
    path.write_text(text)
    return path


@pytest.mark.parametrize("recipe", REFUSED)
def test_recipes_are_refused_with_a_way_out(spec: Path, recipe: str) -> None:
    code, words, way_out = REFUSED[recipe]
    arguments = ("--on", "reference", "--input", spec.with_name("test.npz"))
    outcome = run_main("run", with_recipe(spec, recipe), *arguments, "--color", "never")
    assert outcome.code == 1, outcome.out + outcome.err
    first, *rest = outcome.err.splitlines()
    assert first.startswith(f"error[{code}]: "), outcome.err
    assert words in first
    assert way_out in next(line for line in rest if line.strip().startswith("= help:")), outcome.err


@pytest.mark.parametrize(
    "recipe",
    [
        "prune(grain = block, sparsity = 50 %, block = [1000000, 1000000])",
        "prune(grain = n_of_m, n = 1, m = 100000000)",
        "quantize_weights(granularity = group, group = 1000000000)",
        "low_rank(rank = 1000000000, veto = none)",
        "tucker(output_rank = 1000000000, input_rank = 1000000000, veto = none)",
        f"rao({D}, at_least = 0, eps = 1e-300)",
        "k_means(iterations = 1000000000000)",
        "n_ary(t = 1e300)",
        "log2(highest = 127)",
        "twn(factor = 1e300)",
        'precision(layers = "c1", activations = u4, high = 1e300)',
    ],
)
def test_options_that_reach_beyond_are_cut(spec: Path, recipe: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HAPIR_NO_CACHE", "1")
    arguments = ("--on", "reference", "--input", spec.with_name("test.npz"))
    outcome = run_main("run", with_recipe(spec, recipe), *arguments)
    assert (outcome.code, outcome.err) == (0, "")
    assert "nan" not in outcome.out


def test_a_report_of_results_that_are_not_finite(spec: Path) -> None:
    """The compressed network saturates; the float one has no results to compare with."""
    data = spec.with_name("beyond.npz")
    np.savez(data, image=np.full((2, 2, 6, 6), 3e38, np.float32), label=np.zeros(2, np.int64))
    outcome = run_main("report", spec, "--input", data, "--color", "never")
    assert outcome.code == 1
    assert outcome.err.startswith("error[HAP0422]: `output` of `tiny` is not finite on this input")
