"""Operators that move data, imported, against onnxruntime: one node with its constants, in all the forms it has.

What moves is equal; what is sampled is close. onnx's own reference is asked where onnxruntime lacks a form.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from onnx import ModelProto, ValueInfoProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator
from xdsl.dialects.builtin import TensorType

from hapir.diagnostics import HapirError
from hapir.dialects import nn
from hapir.dialects.num import signed
from hapir.importers.onnx.convert import convert
from hapir.importers.onnx.graph import graph_of
from hapir.lowering.network_edits import networks_of
from hapir.reference import run_network
from hapir.targets.c.build import build_c
from hapir.targets.c.emit import emit_c
from hapir.weights import WeightStore
from tests.unit.onnx_nodes import FLAGS, Node, check_c, check_reference
from tests.unit.test_reference_onnx import SESSION, Array, ort

EXAMPLES = settings(max_examples=60, deadline=None, derandomize=True)
SHAPES = st.lists(st.integers(1, 5), min_size=1, max_size=5).map(tuple)
DTYPES = (np.float32, np.int8, np.int64, np.bool_)


def model_of(
    kind: str, inputs: Mapping[str, Array], count: int, opset: int, constants: Sequence[str], **attributes: Any
) -> ModelProto:
    """One node; `inputs` in its order, a blank name is left out, and those in `constants` are initializers."""
    results = [f"y{i}" for i in range(count)]
    node = helper.make_node(kind, [name.strip() for name in inputs], results, name="layer", **attributes)
    given = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)
        for name, array in inputs.items()
        if name.strip() and name not in constants
    ]
    stored = [numpy_helper.from_array(inputs[name], name) for name in constants]
    graph = helper.make_graph([node], "g", given, [ValueInfoProto(name=name) for name in results], stored)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9)


def compare(
    kind: str,
    inputs: Mapping[str, Array],
    *constants: str,
    count: int = 1,
    opset: int = 19,
    close: bool = False,
    onnx_itself: bool = False,
    **attributes: Any,
) -> nn.NetworkOp:
    """Import one node and run it on the reference; it gives what onnxruntime does. Returns its network."""
    model = model_of(kind, inputs, count, opset, constants, **attributes)
    values = {name: array for name, array in inputs.items() if name.strip() and name not in constants}
    if onnx_itself:
        itself: Any = ReferenceEvaluator(model)  # its types are partly unknown
        expected: list[Array] = itself.run(None, values)
    else:
        expected = ort.InferenceSession(model.SerializeToString(), SESSION, ["CPUExecutionProvider"]).run(None, values)
    converted = convert(graph_of(model), "n")
    (network,) = networks_of(converted.module)
    network.verify()
    feeds = {name: array.astype(np.uint8) if array.dtype == np.bool_ else array for name, array in values.items()}
    found = run_network(network, converted.weights, feeds)
    for array, wanted in zip(found.values(), expected, strict=True):
        assert array.shape == wanted.shape
        if close:
            np.testing.assert_allclose(array, wanted, rtol=0, atol=2e-5 * max(1.0, float(np.abs(wanted).max())))
        else:
            np.testing.assert_array_equal(array, wanted)
    return network


def layers(network: nn.NetworkOp) -> list[str]:
    return [op.name for op in network.walk() if isinstance(op, nn.LayerOp)]


def integers(*values: int) -> Array:
    return np.array(values, np.int64)


@st.composite
def tensors(draw: st.DrawFn, shapes: st.SearchStrategy[tuple[int, ...]] = SHAPES) -> Array:
    shape, dtype = draw(shapes), draw(st.sampled_from(DTYPES))
    values = np.random.default_rng(draw(st.integers(0, 99))).integers(-100, 100, shape)
    return values.astype(dtype) if dtype != np.bool_ else values > 0


@st.composite
def cuts(draw: st.DrawFn, size: int) -> tuple[int, int, int]:
    """Start, end and step of a slice that takes something, in one of the ways to say it."""
    step = draw(st.sampled_from((-3, -2, -1, 1, 2)))
    start = draw(st.integers(0, size - 1))
    end = draw(st.integers(start + 1, size) if step > 0 else st.integers(-1, start - 1))
    starts, ends = [start, start - size], [end] if end == size else [end - size] if end < 0 else [end, end - size]
    if start == (0 if step > 0 else size - 1):
        starts.append(-(1 << 40) if step > 0 else 1 << 40)
    if end < 0 or end == size:
        ends = [(1 << 31) - 1 if step > 0 else -(1 << 62), (1 << 63) - 1 if step > 0 else -size - 1]
    return draw(st.sampled_from(starts)), draw(st.sampled_from(ends)), step


@EXAMPLES
@given(st.data(), tensors())
def test_slices(data: st.DataObject, x: Array) -> None:
    axes = data.draw(st.lists(st.integers(-x.ndim, x.ndim - 1), min_size=1, max_size=3, unique_by=lambda a: a % x.ndim))
    starts, ends, steps = zip(*(data.draw(cuts(x.shape[axis])) for axis in axes), strict=True)
    inputs = {"x": x, "starts": integers(*starts), "ends": integers(*ends), "axes": integers(*axes)}
    compare("Slice", inputs | {"steps": integers(*steps)}, "starts", "ends", "axes", "steps")


@EXAMPLES
@given(st.data(), tensors())
def test_joins_and_pieces(data: st.DataObject, x: Array) -> None:
    axis = data.draw(st.integers(-x.ndim, x.ndim - 1))
    mate = np.repeat(x, data.draw(st.integers(1, 2)), axis)
    compare("Concat", {"x": x, "mate": mate}, axis=axis)
    size = x.shape[axis]
    first = data.draw(st.integers(1, size))
    pieces = [p for p in (first, size - first) if p]
    compare("Split", {"x": x, "split": integers(*pieces)}, "split", count=len(pieces), axis=axis)
    count = data.draw(st.integers(1, size))
    if -(-size // count) * (count - 1) < size:  # no piece is empty
        compare("Split", {"x": x}, count=count, axis=axis, num_outputs=count)


@EXAMPLES
@given(st.data(), tensors())
def test_paddings(data: st.DataObject, x: Array) -> None:
    mode = data.draw(st.sampled_from(("constant", "edge", "reflect", "wrap")))
    axes = data.draw(st.lists(st.integers(-x.ndim, x.ndim - 1), min_size=1, max_size=3, unique_by=lambda a: a % x.ndim))
    limits = [{"reflect": x.shape[a] - 1, "wrap": x.shape[a]}.get(mode, 3) for a in axes]
    lowest = -1 if mode == "constant" else 0  # others cut differently from runtime to runtime
    pads = [
        data.draw(st.integers(max(lowest, 1 - x.shape[a]) if i else 0, n))
        for i in (0, 1)
        for a, n in zip(axes, limits, strict=True)
    ]
    inputs = {"x": x, "pads": integers(*pads), "value": np.array(1, x.dtype), "axes": integers(*axes)}
    compare("Pad", inputs, "pads", "value", "axes", mode=mode)


@EXAMPLES
@given(st.data(), tensors())
def test_shapes(data: st.DataObject, x: Array) -> None:
    flat = compare("Flatten", {"x": x}, axis=data.draw(st.integers(-x.ndim, x.ndim)))
    assert len(layers(flat)) <= 1
    axes = data.draw(st.lists(st.integers(0, x.ndim), max_size=2, unique=True))
    compare("Unsqueeze", {"x": x, "axes": integers(*axes)}, "axes")
    ones = [a for a, size in enumerate(x.shape) if size == 1]
    compare("Squeeze", {"x": x})
    if ones:
        gone = data.draw(st.sampled_from(ones))
        compare("Squeeze", {"x": x, "axes": integers(gone - x.ndim)}, "axes")
    order = data.draw(st.permutations(range(x.ndim)))
    compare("Transpose", {"x": x}, perm=order)
    compare("Transpose", {"x": x})
    wanted = list(x.shape)
    kept = data.draw(st.integers(0, x.ndim - 1))
    left = data.draw(st.integers(0, x.ndim - 1))
    wanted[kept] = 0
    wanted[left] = -1
    compare("Reshape", {"x": x, "shape": integers(*wanted, 1)}, "shape")
    compare("Reshape", {"x": x, "shape": integers(-1)}, "shape")


@EXAMPLES
@given(st.data(), tensors(st.lists(st.integers(1, 4), min_size=1, max_size=4).map(tuple)))
def test_repeats(data: st.DataObject, x: Array) -> None:
    repeats = [data.draw(st.integers(1, 2)) for _ in x.shape]
    compare("Tile", {"x": x, "repeats": integers(*repeats)}, "repeats")
    wanted = [data.draw(st.sampled_from((1, size) if size > 1 else (1, 3))) for size in x.shape]
    wanted = data.draw(st.sampled_from(([2, *wanted], wanted, wanted[1:])))
    compare("Expand", {"x": x, "shape": integers(*wanted)}, "shape")


@EXAMPLES
@given(st.data(), tensors())
def test_indices(data: st.DataObject, x: Array) -> None:
    axis = data.draw(st.integers(-x.ndim, x.ndim - 1))
    within = st.integers(-x.shape[axis], x.shape[axis] - 1)
    shape = data.draw(st.lists(st.integers(1, 3), max_size=2))
    indices = np.array([data.draw(within) for _ in range(int(np.prod(shape)))], np.int64).reshape(shape)
    network = compare("Gather", {"x": x, "indices": indices}, "indices", axis=axis)
    if indices.size == 1:
        assert "nn.gather" not in layers(network)
    picked = np.random.default_rng(1).integers(-x.shape[axis], x.shape[axis], x.shape)
    compare("GatherElements", {"x": x, "indices": picked}, "indices", axis=axis)
    # one index per row, so that no two fall on one element
    order = np.random.default_rng(2).permuted(np.broadcast_to(np.indices(x.shape)[axis], x.shape), axis=axis)
    inputs = {"x": x, "indices": order.astype(np.int64), "updates": x[::-1].copy()}
    compare("ScatterElements", inputs, "indices", axis=axis)
    deep = data.draw(st.integers(1, x.ndim))
    places = np.stack([np.random.default_rng(i).integers(-size, size, 3) for i, size in enumerate(x.shape[:deep])], -1)
    compare("GatherND", {"x": x, "indices": places}, "indices")
    updates = np.zeros((1, *x.shape[deep:]), x.dtype)
    compare("ScatterND", {"x": x, "indices": places[:1], "updates": updates}, "indices")
    chosen = np.array([i % 2 == 0 for i in range(x.shape[axis])])
    compare("Compress", {"x": x, "chosen": chosen}, "chosen", axis=axis)


TABLE = np.arange(5 * 3, dtype=np.float32).reshape(5, 3)
COMPUTED = (
    Node("Gather", {"table": TABLE, "tokens": np.array([[0, 4], [1, -1], [3, 3]])}, constant=["table"]),
    Node("Gather", {"x": TABLE.reshape(5, 3, 1), "i": np.array([2, -3, 0], np.int32)}, {"axis": 1}),
    Node("Gather", {"x": TABLE.astype(np.int64), "i": np.array(-2)}),
    Node("Gather", {"x": np.arange(4)[::-1].copy(), "i": np.array([[[1, 2]], [[3, -4]]])}),
    Node("Gather", {"x": np.tile(TABLE, (1, 2)).reshape(1, 5, 3, 2), "i": np.array([[0, 2, 2, 1]])}, {"axis": 2}),
)
"""Gathers by indices that the network is given."""


def test_computed_indices() -> None:
    for node in COMPUTED:
        check_reference(node)
    check_c(COMPUTED)


def test_an_embedding_takes_any_number_of_items() -> None:
    network, converted = COMPUTED[0].imported()
    (embedding,) = (op for op in network.walk() if isinstance(op, nn.GatherOp))
    assert embedding.keeps_items
    name = network.input_names.data[0].data
    tokens = np.array([[4, -5]])
    (found,) = run_network(network, converted.weights, {name: tokens}).values()
    np.testing.assert_array_equal(found, TABLE[tokens])
    with pytest.raises(HapirError, match=r"HAP0940.* indices from 0 to 5, axis 0 has 5 elements"):
        run_network(network, converted.weights, {name: tokens + 1 + np.array([[0, 5]])})
    # the C of the same reads at the end of the table instead
    module = build_c(emit_c(network, converted.weights), flags=FLAGS)
    (found,) = module.run({name: np.array([[5, -6], [99, -99], [1 << 40, 1]])}).values()
    np.testing.assert_array_equal(found, TABLE[[[4, 0], [4, 0], [4, 1]]])


def test_numbers_that_are_their_own_places() -> None:
    numbers = TensorType(signed(32), (5,))
    network = nn.NetworkOp("own", [("x", numbers)], [("y", numbers)])
    x = network.body.block.args[0]
    op = nn.GatherOp(x, x, axis=0)
    network.body.block.add_ops([op, nn.ReturnOp([op.result])])
    module = build_c(emit_c(network, WeightStore()), flags=FLAGS)
    (found,) = module.run({"x": np.array([4, 0, -1, 2, 1], np.int32)}).values()
    assert found.tolist() == [1, 4, 1, -1, 0]


def test_other_computed_indices_mix_items() -> None:
    for node in COMPUTED[1:]:
        network, _ = node.imported()
        assert not any(op.keeps_items for op in network.walk() if isinstance(op, nn.GatherOp))


@pytest.mark.parametrize("mode", ["DCR", "CRD"])
def test_depth_and_space(mode: str) -> None:
    x = np.arange(2 * 12 * 2 * 3, dtype=np.float32).reshape(2, 12, 2, 3)
    compare("DepthToSpace", {"x": x}, blocksize=2, mode=mode)
    compare("SpaceToDepth", {"x": x.reshape(2, 3, 4, 6)}, blocksize=2)


def test_sequences_backwards_and_triangles() -> None:
    x = np.arange(24, dtype=np.float32).reshape(4, 3, 2)
    compare("ReverseSequence", {"x": x, "n": integers(1, 4, 3)}, "n", batch_axis=1, time_axis=0)
    compare("ReverseSequence", {"x": x, "n": integers(1, 3, 2, 3)}, "n", batch_axis=0, time_axis=1)
    for upper in (0, 1):
        for k in (-1, 0, 2):
            compare("Trilu", {"x": x, "k": np.array(k, np.int64)}, "k", upper=upper)


# --- sampling ---------------------------------------------------------------------------------------------------------

KINDS = (
    "half_pixel",
    "half_pixel_symmetric",
    "pytorch_half_pixel",
    "align_corners",
    "asymmetric",
    "tf_crop_and_resize",
)


@EXAMPLES
@given(
    st.data(),
    st.lists(st.integers(2, 6), min_size=2, max_size=3),
    st.sampled_from(("nearest", "linear", "cubic")),
    st.sampled_from(KINDS),
    st.booleans(),
)
def test_sampling(data: st.DataObject, sizes: list[int], mode: str, kind: str, by_scale: bool) -> None:
    """Against onnx's own reference, in all forms."""
    x = np.random.default_rng(3).standard_normal((1, 2, *sizes), dtype=np.float32)
    new = [data.draw(st.integers(1, 9)) for _ in sizes]
    attributes: dict[str, Any] = {"mode": mode, "coordinate_transformation_mode": kind, "axes": [*range(2, x.ndim)]}
    if mode == "nearest":
        attributes["nearest_mode"] = data.draw(
            st.sampled_from(("round_prefer_floor", "round_prefer_ceil", "floor", "ceil"))
        )
    else:
        attributes |= {name: data.draw(st.integers(0, 1)) for name in ("antialias", "exclude_outside")}
        attributes["cubic_coeff_a"] = data.draw(st.sampled_from((-0.75, -0.5)))
    region = np.array([*[0.15] * len(sizes), *[1.1] * len(sizes)], np.float32)
    inputs: dict[str, Array] = {"x": x, "region": region}
    constants = ["region"]
    if kind == "tf_crop_and_resize":
        attributes["extrapolation_value"] = 4.5
    if by_scale:
        scales = np.array([n / s for n, s in zip(new, sizes, strict=True)], np.float32)
        # a scale that falls just short of a size, and places that fall on elements, depend on the last bit
        scales += np.float32(0.01)
        inputs["scales"] = scales
    else:
        policy = data.draw(st.sampled_from(("stretch", "not_larger", "not_smaller")))
        attributes["keep_aspect_ratio_policy"] = policy
        least = min(n / s for n, s in zip(new, sizes, strict=True))
        assume(policy != "not_larger" or least * min(sizes) >= 0.5)
        inputs |= {"": np.empty(0, np.float32), "sizes": integers(*new)}
    constants.append("scales" if by_scale else "sizes")
    compare("Resize", inputs, *constants, close=True, onnx_itself=True, **attributes)


@pytest.mark.parametrize(
    ("mode", "kind", "near", "new", "op"),
    [
        ("nearest", "asymmetric", "floor", (8, 4), "nn.resize"),
        ("nearest", "asymmetric", "floor", (2, 7), "nn.resize"),
        ("nearest", "half_pixel", "round_prefer_floor", (8, 12), "nn.resize"),
        ("nearest", "half_pixel", "ceil", (8, 4), "nn.resample"),
        ("nearest", "align_corners", "round_prefer_floor", (8, 4), "nn.resize"),
        ("nearest", "align_corners", "round_prefer_floor", (10, 4), "nn.resample"),
        ("linear", "half_pixel", "floor", (7, 9), "nn.resize"),
        ("linear", "align_corners", "floor", (7, 9), "nn.resize"),
        ("linear", "align_corners", "floor", (1, 9), "nn.resample"),
        ("linear", "asymmetric", "floor", (7, 9), "nn.resample"),
        ("cubic", "half_pixel", "floor", (7, 9), "nn.resample"),
    ],
)
def test_what_is_plain_resizing(mode: str, kind: str, near: str, new: tuple[int, int], op: str) -> None:
    x = np.random.default_rng(3).standard_normal((1, 2, 4, 4), dtype=np.float32)
    inputs = {"x": x, "": np.empty(0, np.float32), " ": np.empty(0, np.float32), "sizes": integers(1, 2, *new)}
    attributes: dict[str, Any] = {"mode": mode, "coordinate_transformation_mode": kind, "nearest_mode": near}
    assert layers(compare("Resize", inputs, "sizes", close=True, **attributes)) == [op]


def test_older_versions() -> None:
    x = np.arange(24, dtype=np.float32).reshape(1, 2, 3, 4)
    compare("Slice", {"x": x}, opset=9, starts=[0, 1], ends=[2, -1], axes=[1, 3])
    compare("Pad", {"x": x}, opset=9, pads=[0, 0, 1, 2, 0, 0, -1, 0], mode="constant", value=1.5)
    compare("Squeeze", {"x": x}, opset=9, axes=[0])
    compare("Unsqueeze", {"x": x}, opset=9, axes=[0, 4])
    compare("Split", {"x": x}, opset=9, axis=3, split=[1, 3], count=2)
    compare("Upsample", {"x": x, "s": np.array([1, 1, 2, 3], np.float32)}, "s", opset=9, mode="nearest")
    compare("Upsample", {"x": x, "s": np.array([1, 1, 2, 2], np.float32)}, "s", opset=9, mode="linear", close=True)
    compare("Upsample", {"x": x}, opset=7, mode="nearest", scales=[1.0, 1.0, 2.0, 3.0])
    compare("Resize", {"x": x, "s": np.array([1, 1, 2, 0.5], np.float32)}, "s", opset=10, mode="nearest")


@pytest.mark.parametrize(
    ("kind", "inputs", "constants", "attributes", "reason"),
    [
        ("Slice", {"s": integers(2), "e": integers(2)}, "se", {}, "the slice is empty"),
        ("Split", {"s": integers(0, 2)}, "s", {"count": 2}, "are not all filled"),
        ("Expand", {"s": integers(0, 2, 3)}, "s", {}, "the result is empty"),
        ("Gather", {"i": integers(0)[:0]}, "i", {}, "there are no indices"),
        ("Reshape", {"s": integers(3, 2)}, "", {}, "input 1 `s` must be constant"),
        ("Pad", {"p": integers(1, 1, 1, 1)}, "p", {"mode": "mirror"}, "the mode is `mirror`"),
        ("ScatterND", {"i": integers(0).reshape(1, 1), "u": np.zeros((1, 3), np.float32)}, "i", {"reduction": "add"},
         "the reduction is `add`"),
        ("Resize", {"": integers(), "s": np.array([1, 0.1], np.float32)}, "s", {}, "the result is empty"),
        ("Resize", {"": integers(), "s": np.array([1, np.inf], np.float32)}, "s", {}, "the scales are [1.0, inf]"),
        ("Resize", {"": integers(), "s": np.array([9e5, 9e5], np.float32)}, "s", {}, "a tensor has the shape"),
        ("Tile", {"r": integers(1 << 20, 1 << 20)}, "r", {}, "a tensor has the shape"),
        ("Unsqueeze", {"a": integers(*range(16))}, "a", {}, "a tensor has 18 axes"),
        ("Slice", {"s": np.array([np.inf], np.float32), "e": integers(2)}, "se", {}, "input 1 holds float32"),
        ("Split", {}, "", {"count": 2, "num_outputs": 3}, "2 outputs are not those that `num_outputs` says"),
        ("GatherElements", {"i": integers(0, 1, 1)}, "i", {}, "must have the same number of dimensions"),
        ("GatherElements", {"i": integers(0, 7).reshape(1, 2)}, "i", {"axis": 1}, "leave an axis of 3 elements"),
        ("GatherND", {"i": np.zeros((2, 3), np.int64)}, "i", {}, "indices of 3 axes, there are 2"),
        ("GatherND", {"i": np.array(1)}, "i", {}, "the indices do not fit"),
        ("ReverseSequence", {"n": integers(1, 4, 1)}, "n", {}, "leave an axis of 2 elements"),
        ("Compress", {"c": np.ones(7, np.bool_)}, "c", {"axis": 1}, "leave an axis of 3 elements"),
        ("Concat", {}, "", {"axis": 2}, "there is no axis 2 among 2"),
        ("DepthToSpace", {}, "", {"blocksize": 2}, "a map has four axes"),
    ],
)  # fmt: skip
def test_what_cannot_be_imported(
    kind: str, inputs: dict[str, Array], constants: str, attributes: dict[str, Any], reason: str
) -> None:
    inputs = {"x": np.zeros((2, 3), np.float32), **inputs}
    count = attributes.pop("count", 1)
    model = model_of(kind, inputs, count, 19, list(constants), **attributes)
    with pytest.raises(HapirError, match="HAP0990") as refused:
        convert(graph_of(model), "n")
    assert reason in str(refused.value)
