"""The exporter op by op: every op of the dialects is written or has a reason, and onnxruntime computes the same."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from xdsl.dialects.builtin import ArrayAttr, FloatData, IntegerType, StringAttr, TensorType, f32
from xdsl.ir import Attribute, Operation, SSAValue

from hapir.diagnostics import HapirError
from hapir.dialects import nn, num
from hapir.dialects.nn import Nn, PadMode, SampleMode
from hapir.dialects.nn_functions import BOOLEAN, FUNCTIONS
from hapir.dialects.nn_shapes import Window
from hapir.dialects.num import AffineType, BipolarType, Num, element_type, signed, unsigned
from hapir.exporters.onnx import proto
from hapir.exporters.onnx.calls import writers
from hapir.exporters.onnx.export import REASONS, SILENT, ExportOptions, export_network, model_files
from hapir.exporters.onnx.styles import Style, carried_dtype
from hapir.reference.interpret import MEANINGS, run_network
from hapir.weights import WeightStore
from tests.onnx_sessions import Array, check, run_model

OPSETS = (17, 23)
RNG = np.random.default_rng(0)
FRESH = RNG.bit_generator.state


@pytest.fixture(autouse=True)
def _same_numbers() -> None:
    """Each test draws the same numbers, whichever ran before it."""
    RNG.bit_generator.state = FRESH


Make = Callable[[Sequence[SSAValue]], Operation]


def network_of(
    types: Sequence[TensorType[Attribute]], make: Make, weights: Mapping[str, SSAValue] | None = None
) -> Any:
    """A network of one op; the inputs are `x0`, `x1` and so on, its results `y0` and so on."""
    network = nn.NetworkOp("one", [(f"x{i}", type_) for i, type_ in enumerate(types)], [])
    block = network.body.block
    op = make(block.args)
    pending = [op]
    while pending:  # what the op reads stands before it
        made = pending.pop()
        if made.parent is None:
            block.insert_op_before(made, block.first_op) if block.first_op else block.add_op(made)
        pending += [v.owner for v in made.operands if isinstance(v.owner, Operation)]
    block.add_op(nn.ReturnOp(op.results))
    network.result_names = ArrayAttr(StringAttr(f"y{i}") for i in range(len(op.results)))
    network.set_result_types()
    network.verify()
    return network


def drawn(type_: TensorType[Attribute], low: float = -3, high: float = 3) -> Array:
    element, shape = type_.get_element_type(), type_.get_shape()
    dtype = num.dtype_of(element)
    if dtype.kind == "f":
        return RNG.uniform(low, high, shape).astype(np.float32)
    if element == BOOLEAN:
        return RNG.integers(0, 2, shape).astype(dtype)
    return RNG.integers(max(int(low), np.iinfo(dtype).min), int(high), shape, endpoint=True).astype(dtype)


def given(inputs: Mapping[str, Array], network: nn.NetworkOp) -> dict[str, Array]:
    """Arrays as the model takes them: `ui1` is bool there."""
    arguments = zip(network.input_names, network.body.block.args, strict=True)
    return {name.data: inputs[name.data].astype(carried_dtype(element_type(v))) for name, v in arguments}


def agree(network: nn.NetworkOp, weights: WeightStore, inputs: Mapping[str, Array], opset: int) -> None:
    """The model is sound, and onnxruntime computes what the reference computes."""
    model = export_network(network, weights, ExportOptions(None, opset))
    check(model)
    expected = run_network(network, weights, inputs)
    found = run_model(model, given(inputs, network))
    assert list(found) == list(expected)
    for name, array in expected.items():
        result = found[name].astype(np.uint8) if found[name].dtype == np.bool_ else found[name]
        assert result.dtype == array.dtype
        assert result.shape == array.shape
        if array.dtype.kind == "f":
            np.testing.assert_allclose(result, array, rtol=1e-4, atol=1e-5)
        else:
            np.testing.assert_array_equal(result, array)


def test_every_op_is_written_or_says_why_not() -> None:
    structure = {nn.NetworkOp, nn.ReturnOp}
    for dialect in (Nn, Num):
        for op in dialect.operations:
            assert op in structure or op in SILENT or op in writers(), op.name
    for op in MEANINGS:
        known = op in writers() or op in SILENT or op.name in REASONS or op.name == "dataflow.layer"
        assert known, f"{op.name} has a meaning: give it a writer, or a reason in REASONS"


def _tensor(element: Attribute, *shape: int) -> TensorType[Attribute]:
    return TensorType(element, shape)


def _parameters(weights: WeightStore, **shapes: tuple[int, ...]) -> list[SSAValue]:
    """Stored arrays of f32 by these keys."""
    for key, shape in shapes.items():
        weights.put(f"p.{key}", (RNG.uniform(0.5, 1.5, shape) * RNG.choice([-1, 1], shape)).astype(np.float32))
    return [nn.WeightOp(f"p.{key}", TensorType(f32, shape)).result for key, shape in shapes.items()]


LINE = Window((1, 3), (1, 2), (0, 1, 0, 1), (1, 1))
DILATED = Window((2, 3), (1, 2), (1, 1, 0, 1), (2, 1))


def _float_ops(weights: WeightStore) -> dict[str, tuple[list[TensorType[Attribute]], Make]]:
    """Ops that random networks do not have, or forms of them, by a name for the test."""
    map_, line = _tensor(f32, 2, 4, 6, 5), _tensor(f32, 2, 4, 7)
    return {
        "transposed_conv1d": (
            [line],
            lambda v: nn.TransposedConv1dOp(
                v[0], *_parameters(weights, w=(4, 3, 3), b=(6,)), window=LINE, extra=(0, 1), groups=2, layer="l"
            ),
        ),
        "conv2d of computed weights": (
            [map_, _tensor(f32, 3, 4, 2, 3)],
            lambda v: nn.Conv2dOp(v[0], v[1], window=DILATED, layer="l"),
        ),
        "linear": ([line], lambda v: nn.LinearOp(v[0], *_parameters(weights, w=(3, 7), b=(3,)), layer="l")),
        "linear of computed weights": ([line, _tensor(f32, 3, 7)], lambda v: nn.LinearOp(v[0], v[1], layer="l")),
        "dilated max_pool": ([map_], lambda v: nn.MaxPoolOp(v[0], window=DILATED, layer="l")),
        "max_pool_indices": ([map_], lambda v: nn.MaxPoolIndicesOp(v[0], window=DILATED, layer="l")),
        "max_pool_indices by columns": (
            [map_],
            lambda v: nn.MaxPoolIndicesOp(v[0], window=Window((2, 2)), columns_first=True, layer="l"),
        ),
        "group_norm": (
            [map_],
            lambda v: nn.GroupNormOp(v[0], *_parameters(weights, g=(4,), b=(4,)), groups=2, layer="l"),
        ),
        "group_norm of rows": (
            [_tensor(f32, 2, 4)],
            lambda v: nn.GroupNormOp(v[0], *_parameters(weights, g=(4,), b=(4,)), groups=2, layer="l"),
        ),
        "instance norm": (
            [map_],
            lambda v: nn.GroupNormOp(v[0], *_parameters(weights, g=(4,), b=(4,)), groups=4, layer="l"),
        ),
        "rms_norm": ([map_], lambda v: nn.RmsNormOp(v[0], *_parameters(weights, g=(6, 5)), axis=2, layer="l")),
        "slice backwards": ([map_], lambda v: nn.SliceOp(v[0], (1, 3, 0, 4), (1, 2, 6, 5), (1, -3, 1, -1), layer="l")),
        "whole slice": ([map_], lambda v: nn.SliceOp(v[0], (0, 0, 0, 0), (2, 4, 6, 5), layer="l")),
        "tile": ([map_], lambda v: nn.TileOp(v[0], (2, 1, 3, 1), layer="l")),
        "reshape of all": ([map_], lambda v: nn.ReshapeOp(v[0], (240,), axis=0, layer="l")),
        "reshape to no axes": ([_tensor(f32, 1, 1)], lambda v: nn.ReshapeOp(v[0], (), axis=0, layer="l")),
        "reshape from axis 2": ([map_], lambda v: nn.ReshapeOp(v[0], (30, 1), axis=2, layer="l")),
        "gather of rows": ([map_, _tensor(signed(8), 2, 3)], lambda v: nn.GatherOp(v[0], v[1], axis=1, layer="l")),
        "nearest by 7/6": ([map_], lambda v: nn.ResizeOp(v[0], 7, 4, layer="l")),
        "cubic": (
            [map_],
            lambda v: nn.ResampleOp(v[0], (3,), (8,), nn.Sampling(SampleMode.cubic, sharpness=-0.5), layer="l"),
        ),
        "scaled": (
            [map_],
            lambda v: nn.ResampleOp(
                v[0],
                (2, 3),
                (9, 7),
                nn.Sampling(SampleMode.linear, nn.Coordinates.asymmetric),
                scales=(1.6, 1.5),
                layer="l",
            ),
        ),
        "sums of bytes": ([_tensor(signed(8), 2, 30)], lambda v: nn.ReduceOp("sum", v[0], (1,), layer="l")),
        "largest bytes": (
            [_tensor(unsigned(8), 2, 30)],
            lambda v: nn.ReduceOp("max", v[0], (1,), keep=True, layer="l"),
        ),
        "products": ([_tensor(f32, 2, 3, 4)], lambda v: nn.ReduceOp("product", v[0], (0, 2), layer="l")),
        "means": ([_tensor(f32, 2, 3, 4)], lambda v: nn.ReduceOp("mean", v[0], (1,), keep=True, layer="l")),
        "least": ([_tensor(signed(16), 2, 3, 4)], lambda v: nn.ReduceOp("min", v[0], (1, 2), layer="l")),
        "nothing reduced": ([_tensor(f32, 2, 3)], lambda v: nn.ReduceOp("sum", v[0], (), layer="l")),
        "log_softmax": ([map_], lambda v: nn.LogSoftmaxOp(v[0], axis=2, layer="l")),
        "argmax of the last": (
            [_tensor(signed(8), 2, 30)],
            lambda v: nn.ArgmaxOp(v[0], axis=0, keep=True, last=True, layer="l"),
        ),
        "no axes": ([_tensor(f32), _tensor(f32)], lambda v: nn.AddOp(v[0], v[1], layer="l")),
    }


@pytest.mark.parametrize("opset", OPSETS)
@pytest.mark.parametrize("name", _float_ops(WeightStore()))
def test_ops_that_random_networks_do_not_have(name: str, opset: int) -> None:
    weights = WeightStore()
    types, make = _float_ops(weights)[name]
    network = network_of(types, make)
    inputs = {f"x{i}": drawn(type_) for i, type_ in enumerate(types)}
    agree(network, weights, inputs, opset)


def test_padding_that_wraps() -> None:
    network = network_of(
        [_tensor(f32, 1, 2, 5)], lambda v: nn.PadOp(v[0], (0, 0, 2), (0, 0, 1), mode=PadMode.wrap, layer="l")
    )
    agree(network, WeightStore(), {"x0": drawn(_tensor(f32, 1, 2, 5))}, 19)
    with pytest.raises(HapirError, match=r"HAP0980.*Pad wraps from opset 19"):
        export_network(network, WeightStore())


def test_what_an_older_opset_lacks_names_the_one_that_has_it() -> None:
    network = network_of(
        [_tensor(f32, 1, 2, 5, 5)], lambda v: nn.AvgPoolOp(v[0], window=Window((2, 2), dilation=(2, 2)), layer="a1")
    )
    with pytest.raises(HapirError) as caught:
        export_network(network, WeightStore())
    (found,) = caught.value.diagnostics
    assert found.message == (
        "cannot export `nn.avg_pool` of the layer `a1`: AveragePool has dilations from opset 19 on, this is 17"
    )
    assert found.help == "ask for `--opset 19`"
    agree(network, WeightStore(), {"x0": drawn(_tensor(f32, 1, 2, 5, 5))}, 19)


RECURRENT: dict[str, tuple[type[nn.RecurrentOp], dict[str, Any]]] = {
    "lstm": (nn.LstmOp, {"bias": True}),
    "lstm from states": (nn.LstmOp, {"initial": True, "peephole": True}),
    "lstm of lengths": (nn.LstmOp, {"bias": True, "lengths": True, "reverse": True}),
    "lstm with activations": (
        nn.LstmOp,
        {"activations": ("hard_sigmoid 0.25 0.5", "softsign", "elu 0.5"), "clip": 0.6, "peephole": True},
    ),
    "gru": (nn.GruOp, {"bias": True, "initial": True}),
    "gru with the reset before": (nn.GruOp, {"bias": True, "reset_before": True, "lengths": True}),
    "rnn": (nn.RnnOp, {"bias": True, "reverse": True}),
    "rnn of one state for all": (nn.RnnOp, {"initial": 1, "activations": ("relu",)}),
}


@pytest.mark.parametrize("computed", [False, True], ids=["stored", "computed"])
@pytest.mark.parametrize("name", RECURRENT)
def test_recurrent_layers(name: str, computed: bool) -> None:
    kind, options = RECURRENT[name]
    n, t, c, h = 2, 4, 3, 5
    weights, rows = WeightStore(), kind.GATES * h
    shapes = {"wi": (rows, c), "wh": (rows, h)}
    if options.get("bias"):
        shapes |= {"bi": (rows,), "bh": (rows,)}
    extra = {"p": (3 * h,)} if options.get("peephole") else {}
    states = kind.STATES if options.get("initial") else 0
    extra |= {f"s{i}": (1 if options.get("initial") == 1 else n, h) for i in range(states)}
    types = [_tensor(f32, n, t, c)] + ([_tensor(signed(32), n)] if options.get("lengths") else [])
    if computed:
        types += [_tensor(f32, *shape) for shape in shapes.values()]

    def make(v: Sequence[SSAValue]) -> Operation:
        parameters = list(v[-len(shapes) :]) if computed else _parameters(weights, **shapes)
        others = dict(zip(extra, _parameters(weights, **extra), strict=True))
        return kind(
            v[0],
            parameters[0],
            parameters[1],
            parameters[2:],
            initial=[others[f"s{i}"] for i in range(states)],
            peephole=others.get("p"),
            lengths=v[1] if options.get("lengths") else None,
            reverse=options.get("reverse", False),
            activations=options.get("activations", ()),
            clip=options.get("clip"),
            reset_before=options.get("reset_before", False),
            layer="r",
        )

    network = network_of(types, make)
    inputs = {f"x{i}": drawn(type_, -1, 1) for i, type_ in enumerate(types)}
    if options.get("lengths"):
        inputs["x1"] = np.array([t, 2], np.int32)
    agree(network, weights, inputs, 17)


# --- functions of elements --------------------------------------------------------------------------------------------

ELEMENTS = (f32, signed(8), signed(32), signed(64), unsigned(8), unsigned(32), BOOLEAN)
"""Element types that onnxruntime has most kernels for."""
DOMAINS = {
    "log": (0.1, 3),
    "sqrt": (0, 3),
    "acosh": (1, 3),
    "pow": (0.1, 3),
    "asin": (-0.9, 0.9),
    "acos": (-0.9, 0.9),
    "atanh": (-0.9, 0.9),
}
"""Where functions are numbers."""


def _cases() -> list[tuple[str, tuple[Attribute, ...]]]:
    cases: list[tuple[str, tuple[Attribute, ...]]] = []
    for name, function in FUNCTIONS.items():
        for element in ELEMENTS:
            elements = (BOOLEAN, element, element) if name == "where" else (element,) * function.arity
            try:
                function.rule(elements)
            except ValueError:
                continue
            cases.append((name, elements))
    return cases


def _sayable(name: str, element: Attribute) -> bool:
    """Whether ONNX has a function for a type: logic alone for booleans, powers of 32 bits and up, unsigned shifts."""
    if element == BOOLEAN:
        logic = ("logical_not", "logical_and", "logical_or", "logical_xor")
        return name in (*logic, "equal", "where", "minimum", "maximum")
    if name == "pow":
        return element in (f32, signed(32), signed(64))
    if name.startswith("shift"):
        return element in (unsigned(8), unsigned(32))
    return True


@pytest.mark.parametrize(
    ("name", "elements"), _cases(), ids=lambda part: part if isinstance(part, str) else str(part[-1])
)
def test_functions_of_elements(name: str, elements: tuple[Attribute, ...]) -> None:
    shapes = [(2, 3, 4), (3, 1), ()]
    types = [_tensor(element, *shape) for element, shape in zip(elements, shapes, strict=False)]
    network = network_of(types, lambda v: nn.PointwiseOp(name, v, layer="f"))
    if not _sayable(name, elements[-1]):
        with pytest.raises(HapirError, match="HAP0980"):
            export_network(network, WeightStore(), ExportOptions(opset=23))
        return
    if name in ("bits", "from_bits"):  # onnxruntime does not know the opset yet
        model = export_network(network, WeightStore(), ExportOptions(opset=proto.first_opset("BitCast")))
        assert [node.op_type for node in model.graph.node] == ["BitCast"]
        return
    low, high = DOMAINS.get(name, (-3, 3))
    if name == "pow" and elements[0] != f32:
        low = 1
    inputs = {f"x{i}": drawn(type_, low, high) for i, type_ in enumerate(types)}
    for opset in (17, 23) if not name.startswith("bit_") else (23,):
        agree(network, WeightStore(), inputs, opset)


def test_shifts_past_the_width() -> None:
    types = [_tensor(unsigned(8), 4), _tensor(unsigned(8), 4)]
    inputs = {"x0": np.array([1, 255, 7, 130], np.uint8), "x1": np.array([0, 8, 200, 7], np.uint8)}
    for name in ("shift_left", "shift_right"):
        agree(network_of(types, lambda v, n=name: nn.PointwiseOp(n, v, layer="f")), WeightStore(), inputs, 17)


def test_a_division_by_a_number_is_one_node() -> None:
    """What guards against 0 is left out where the divisor is known."""
    half = nn.FillOp(2, signed(32)).result
    network = network_of([_tensor(signed(32), 4)], lambda v: nn.PointwiseOp("div", (v[0], half), layer="f"))
    model = export_network(network, WeightStore())
    assert [node.op_type for node in model.graph.node] == ["Div"]
    agree(network, WeightStore(), {"x0": np.array([-7, 0, 7, 100], np.int32)}, 17)


@pytest.mark.parametrize("to", [f32, signed(8), signed(64), unsigned(8), BOOLEAN], ids=str)
@pytest.mark.parametrize("source", [f32, signed(32), BOOLEAN], ids=str)
def test_casts(source: Attribute, to: Attribute) -> None:
    network = network_of([_tensor(source, 2, 3)], lambda v: nn.CastOp(v[0], to, layer="c"))
    low = 0 if to == unsigned(8) else -3
    agree(network, WeightStore(), {"x0": drawn(_tensor(source, 2, 3), low)}, 17)


def test_narrow_integers_are_no_numbers_of_onnx() -> None:
    network = network_of([_tensor(signed(4), 2)], lambda v: nn.PointwiseOp("wrapping_add", (v[0], v[0]), layer="s"))
    with pytest.raises(HapirError, match=r"HAP0980.*does not compute with si4"):
        export_network(network, WeightStore())


@pytest.mark.parametrize("element", [signed(8), signed(32), unsigned(16)], ids=str)
def test_products_of_integers_wrap(element: IntegerType) -> None:
    types = [_tensor(element, 2, 3, 4), _tensor(element, 2, 4, 2)]
    network = network_of(types, lambda v: nn.MatmulOp(v[0], v[1], layer="m"))
    high = min(int(num.integer_range(element)[1]), 1 << 20)
    inputs = {f"x{i}": drawn(type_, -high, high) for i, type_ in enumerate(types)}
    agree(network, WeightStore(), inputs, 17)


# --- the model --------------------------------------------------------------------------------------------------------


def _two_layers() -> tuple[nn.NetworkOp, WeightStore]:
    weights = WeightStore({"c1.weight": RNG.standard_normal((2, 1, 3, 3)).astype(np.float32)})

    def make(v: Sequence[SSAValue]) -> Operation:
        w = nn.WeightOp("c1.weight", TensorType(f32, (2, 1, 3, 3)))
        c1 = nn.Conv2dOp(v[0], w.result, window=Window((3, 3)), layer="c1")
        return nn.SplitOp(c1.result, [1, 1], layer="s")

    return network_of([_tensor(f32, 1, 1, 6, 6)], make), weights


def test_names_are_kept() -> None:
    network, weights = _two_layers()
    model = export_network(network, weights)
    assert [node.name for node in model.graph.node] == ["c1", "s"]
    assert list(model.graph.node[0].input) == ["x0", "c1.weight"]
    assert list(model.graph.node[0].output) == ["c1"]
    assert [output.name for output in model.graph.output] == ["y0", "y1"]
    assert [array.name for array in model.graph.initializer] == ["c1.weight", "s/sizes"]
    assert (model.producer_name, model.opset_import[0].version, model.ir_version) == ("hapir", 17, 8)


def test_places_in_the_spec_are_kept() -> None:
    from tests.property.odd_networks import odd_sample

    sample = odd_sample("weightless", None)
    model = export_network(sample.network, sample.weights)
    assert [node.doc_string for node in model.graph.node] == ["sample.hap:3:5", "sample.hap:4:5", "sample.hap:5:5"]


def test_a_result_that_is_an_input_or_returned_twice() -> None:
    network = nn.NetworkOp("same", [("x", _tensor(f32, 1, 2))], [])
    block = network.body.block
    relu = nn.ReluOp(block.args[0], layer="r")
    block.add_ops([relu, nn.ReturnOp([relu.result, block.args[0], relu.result])])
    network.result_names = ArrayAttr(map(StringAttr, ("a", "b", "c")))
    network.set_result_types()
    agree(network, WeightStore(), {"x": drawn(_tensor(f32, 1, 2))}, 17)


def test_equal_models_are_equal_bytes() -> None:
    network, weights = _two_layers()
    first, second = (export_network(network, weights).SerializeToString() for _ in range(2))
    assert first == second


def test_an_opset_that_is_none() -> None:
    network, weights = _two_layers()
    for opset in (9, proto.NEWEST_OPSET + 1):
        with pytest.raises(HapirError, match="HAP0981"):
            export_network(network, weights, ExportOptions(opset=opset))


def test_a_batch_that_cannot_be_open() -> None:
    network = network_of([_tensor(f32, 2, 3)], lambda v: nn.TileOp(v[0], (2, 1), layer="t"))
    with pytest.raises(HapirError, match=r"HAP0982.*nn\.tile"):
        export_network(network, WeightStore(), ExportOptions(any_batch=True))


def test_what_comes_from_parameters_has_no_batch() -> None:
    weights = WeightStore()

    def make(v: Sequence[SSAValue]) -> Operation:
        (w,) = _parameters(weights, w=(4, 3))
        return nn.DenseOp(v[0], nn.SigmoidOp(w, layer="w").result, layer="l")

    network = network_of([_tensor(f32, 2, 3)], make)
    model = export_network(network, weights, ExportOptions(any_batch=True))
    check(model)
    inputs = {"x0": drawn(_tensor(f32, 5, 3))}
    np.testing.assert_allclose(run_model(model, inputs)["y0"], run_network(network, weights, inputs)["y0"], rtol=1e-5)


def test_weights_that_are_not_there() -> None:
    network, _ = _two_layers()
    with pytest.raises(HapirError, match=r"HAP0402.*c1\.weight"):
        export_network(network, WeightStore())


def test_external_data(tmp_path: Any) -> None:
    weights = WeightStore({"d.weight": RNG.standard_normal((40, 30)).astype(np.float32)})

    def make(v: Sequence[SSAValue]) -> Operation:
        return nn.DenseOp(v[0], nn.WeightOp("d.weight", TensorType(f32, (40, 30))).result, layer="d")

    network = network_of([_tensor(f32, 1, 30)], make)
    files = model_files(export_network(network, weights), "net.onnx", external=True)
    assert set(files) == {"net.onnx", "net.onnx.data"}
    assert len(files["net.onnx"]) < 1000
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    inputs = {"x0": drawn(_tensor(f32, 1, 30))}
    found = run_model(str(tmp_path / "net.onnx"), inputs)["y0"]
    np.testing.assert_allclose(found, run_network(network, weights, inputs)["y0"], rtol=1e-5, atol=1e-5)


def test_large_models_leave_their_arrays_beside_them(monkeypatch: pytest.MonkeyPatch) -> None:
    network, weights = _two_layers()
    model = export_network(network, weights)
    assert set(model_files(model, "net.onnx")) == {"net.onnx"}
    monkeypatch.setattr(proto, "LARGEST_FILE", 10)
    assert set(model_files(model, "net.onnx")) == {"net.onnx", "net.onnx.data"}


# --- integers ---------------------------------------------------------------------------------------------------------


def _quantized_dense(codes: Attribute, bits: int) -> tuple[nn.NetworkOp, WeightStore]:
    """A dense layer of codes between its quantizers."""
    low, high = num.code_range(codes)
    step = 2 if isinstance(codes, BipolarType) else 1
    weights = WeightStore({"d.weight": RNG.choice(np.arange(low, high + 1, step), (3, 8)).astype(np.int8)})
    weights.put("d.m", np.array([30000], np.uint16))
    weights.put("d.s", np.array([14 + bits], np.uint8))

    def make(v: Sequence[SSAValue]) -> Operation:
        x = num.QuantizeOp(v[0], _tensor(AffineType(unsigned(8), FloatData(0.02), 3), 1, 8), layer="d")
        w = nn.WeightOp("d.weight", TensorType(AffineType(codes, FloatData(0.5), 0), (3, 8)))
        sums = nn.DenseOp(x.result, w.result, layer="d")
        m, s = nn.WeightOp("d.m", _tensor(unsigned(16), 1)), nn.WeightOp("d.s", _tensor(unsigned(8), 1))
        type_ = _tensor(AffineType(unsigned(8), FloatData(0.1), 128), 1, 3)
        q = num.RequantizeOp(
            sums.result, m.result, s.result, type_, rounding=num.Rounding.half_up, low=0, high=255, layer="d"
        )
        return num.DequantizeOp(q.result, layer="d")

    return network_of([_tensor(f32, 1, 8)], make), weights


CODES = [signed(8), signed(4), signed(2), num.TernaryType(), BipolarType(1), BipolarType(3)]


@pytest.mark.parametrize("style", [Style.QDQ, Style.QONNX, Style.INTEGER])
@pytest.mark.parametrize("codes", CODES, ids=str)
def test_weights_of_any_codes(codes: Attribute, style: Style) -> None:
    from tests.property.qonnx_runner import run_qonnx

    network, weights = _quantized_dense(codes, num.code_bits(codes))
    inputs = {"x0": RNG.uniform(0, 5, (1, 8)).astype(np.float32)}
    expected = run_network(network, weights, inputs)["y0"]
    assert len(np.unique(expected)) > 1, "the test would compare one number"
    for opset in (17, 21):
        model = export_network(network, weights, ExportOptions(style, opset))
        check(model)
        found = (run_qonnx if style == Style.QONNX else run_model)(model, inputs)["y0"]
        step = 0.0 if style == Style.INTEGER else 0.1
        assert np.abs(found - expected).max() <= step * (1 + 1e-6)


def test_four_bits_are_packed_from_opset_21_on() -> None:
    network, weights = _quantized_dense(signed(4), 4)
    for opset, kind, size in ((17, 3, 24), (21, 22, 12)):  # int8, int4
        model = export_network(network, weights, ExportOptions(Style.QDQ, opset))
        (array,) = (array for array in model.graph.initializer if array.name == "d.weight")
        assert (array.data_type, len(array.raw_data)) == (kind, size)


def test_quantized_networks_are_qdq_unless_asked_otherwise() -> None:
    network, weights = _quantized_dense(signed(8), 8)
    kinds = [node.op_type for node in export_network(network, weights).graph.node]
    assert kinds == ["QuantizeLinear", "DequantizeLinear", "DequantizeLinear", "Gemm", "QuantizeLinear",
                     "DequantizeLinear"]  # fmt: skip
    with pytest.raises(HapirError, match="HAP0983"):
        export_network(network, weights, ExportOptions(Style.FLOAT))


def test_wide_codes_need_opset_21() -> None:
    type_ = _tensor(AffineType(signed(16), FloatData(0.1), 0), 1, 4)
    network = network_of([_tensor(f32, 1, 4)], lambda v: num.QuantizeOp(v[0], type_, layer="q"))
    with pytest.raises(HapirError, match=r"HAP0980.*codes of 16 bits need opset 21"):
        export_network(network, WeightStore())
    for style in (Style.QDQ, Style.INTEGER):
        model = export_network(network, WeightStore(), ExportOptions(style, 21))
        check(model)
        inputs = {"x0": drawn(_tensor(f32, 1, 4))}
        assert np.array_equal(run_model(model, inputs)["y0"], run_network(network, WeightStore(), inputs)["y0"])


def test_a_multiplier_model_is_no_function_of_onnx() -> None:
    network, weights = _quantized_dense(signed(8), 8)
    (dense,) = (op for op in network.walk() if isinstance(op, nn.DenseOp))
    dense.multiplier = StringAttr("truncated(bits = 2)")
    for style in (Style.QDQ, Style.QONNX, Style.INTEGER):
        with pytest.raises(HapirError) as caught:
            export_network(network, weights, ExportOptions(style))
        (found,) = caught.value.diagnostics  # what depends on it is not named again
        assert "truncated(bits = 2)" in found.message
