"""`benchmarks/c` without its peers: what the exporters write, and what is made of times."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.c.contests import Contest, Entry, disagreement
from benchmarks.c.drive import Times, ratio
from benchmarks.c.goals import Goal, Result
from benchmarks.c.networks import FLOAT, INT8, WORKLOADS, Case, compile_case
from benchmarks.c.to_ncnn import to_ncnn
from benchmarks.c.to_onnx import to_onnx

ort: Any = import_module("onnxruntime")  # it brings no types


@pytest.fixture(scope="module", params=[FLOAT, INT8])
def resnet20(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Case:
    """A network with all kinds of nodes but a rectifier alone."""
    return compile_case(WORKLOADS["resnet20"], request.param, tmp_path_factory.mktemp("resnet20"))


def test_onnx_computes_what_the_reference_does(resnet20: Case):
    graph = resnet20.graph
    assert graph is not None
    assert graph.macs == 40_551_040  # of networks/resnet20.hap
    session = ort.InferenceSession(to_onnx(graph).SerializeToString(), providers=["CPUExecutionProvider"])
    found = np.asarray(session.run(None, {graph.input.name: resnet20.x})[0], np.float64)
    apart = np.abs(found - resnet20.expected).max()
    # integers: onnxruntime rounds half steps to even after each layer
    assert apart <= (2 if graph.integers else 1e-5 * np.abs(resnet20.expected).max())


def test_a_graph_for_ncnn(tmp_path: Path):
    case = compile_case(WORKLOADS["lenet5"], FLOAT, tmp_path)
    assert case.graph is not None
    param, weights = to_ncnn(case.graph)
    magic, counts, *lines = param.splitlines()
    assert magic == "7767517"
    assert counts == f"{len(lines)} {len(lines)}"  # a blob per layer, since nothing is read twice
    kinds = [line.split()[0] for line in lines]
    product = ["Convolution", "Pooling"]
    assert kinds == ["Input", *product, *product, "Flatten", "InnerProduct", "InnerProduct"]
    assert "9=1" in lines[-2]  # the rectifier between the dense layers
    # parameters in f32, and a flag before the weights of each of the four products
    assert len(weights) == 4 * (431_080 + 4)


def result(seconds: dict[str, list[float]], operations: dict[str, int]) -> Result:
    """A row with such times, whose labels do so many operations."""
    none = np.zeros(0, np.float32)
    entries = {label: Entry("c", Path(), none, None, own_operations=operations.get(label, 0)) for label in seconds}
    return Result(Contest("row", 100, entries), Times(seconds))


def test_a_ratio_is_taken_round_by_round():
    spread = ratio([2.0, 6.0, 4.0], [1.0, 2.0, 4.0])
    assert (spread.median, spread.low, spread.high) == (2.0, 1.0, 3.0)


def test_a_goal_compares_rates_with_the_fastest_rival():
    seconds = {"hapir": [1.0, 1.0], "a": [4.0, 6.0], "b": [3.0, 3.0], "peak": [1.0, 1.0]}
    row = result(seconds, {"peak": 400})
    found = Goal("row", ("a", "b", "absent"), 2, "").measure(row)
    assert found is not None
    assert (found[0].median, found[1]) == (3.0, "b")
    share = Goal("row", ("peak",), 0.2, "").measure(row)
    assert share is not None
    assert share[0].median == 0.25
    assert Goal("row", ("absent",), 2, "").measure(row) is None


@pytest.mark.parametrize(
    ("peer", "found", "agrees"),
    [("c", [1, 2], True), ("c", [1, 3], False), ("litert", [1, 3], True), ("litert", [1, 4], False)],
)
def test_only_own_integers_must_be_equal(peer: str, found: list[int], agrees: bool):
    expected = np.array([1, 2], np.uint8)
    contest = Contest("row", 0, {"x": Entry(peer, Path(), expected, expected)}, steps=1)
    assert (disagreement(contest, "x", np.array(found, np.uint8)) is None) == agrees


@pytest.mark.parametrize("wrong", [np.nan, 2.001])
def test_floats_must_be_close_and_finite(wrong: float):
    expected = np.array([1.0, 2.0], np.float32)
    contest = Contest("row", 0, {"x": Entry("litert", Path(), expected, expected)})
    assert disagreement(contest, "x", expected * np.float32(1.00001)) is None
    assert disagreement(contest, "x", np.array([1.0, wrong], np.float32)) is not None


def test_a_result_of_another_size_disagrees():
    expected = np.zeros(4, np.uint8)
    contest = Contest("row", 0, {"x": Entry("c", Path(), expected, expected)})
    assert disagreement(contest, "x", np.zeros(3, np.uint8)) is not None
