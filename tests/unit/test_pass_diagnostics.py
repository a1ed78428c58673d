"""What the passes refuse, and where they point."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from xdsl.dialects.builtin import FileLineColLoc, IntAttr, ModuleOp, StringAttr, TensorType, f32
from xdsl.ir import Operation, SSAValue
from xdsl.passes import ModulePass

from hapir.context import HapirContext
from hapir.diagnostics import Diagnostic, HapirError
from hapir.dialects import nn
from hapir.dialects.nn_shapes import Window
from hapir.lowering.compress.fold_batch_norm import FoldBatchNormPass
from hapir.lowering.compress.fuse import FusePass
from hapir.lowering.compress.keep_accuracy import KeepAccuracyPass
from hapir.lowering.compress.prune import PrunePass
from hapir.lowering.compress.quantize import QuantizePass
from hapir.lowering.cut_integer_body import cut
from hapir.lowering.infer_nn_shapes import InferNnShapesPass
from hapir.lowering.network_edits import networks_of, set_type
from hapir.reference.interpret import run_network


class Spec:
    """A network written op by op; each op is on a line of its own."""

    def __init__(self, folder: Path, *shape: int):
        self.network = nn.NetworkOp("n", [("image", TensorType(f32, shape))], [("y", TensorType(f32, shape))])
        self.ctx = HapirContext(folder=folder)
        self.image: SSAValue = self.network.body.block.args[0]
        self.lines = 0

    def add(self, op: Operation) -> SSAValue:
        self.lines += 1
        op.location = FileLineColLoc(StringAttr("n.hap"), IntAttr(self.lines), IntAttr(5))
        self.network.body.block.add_op(op)
        return op.results[0]

    def weight(self, key: str, array: npt.NDArray[np.float64]) -> SSAValue:
        self.ctx.weights.put(key, array.astype(np.float32))
        return self.add(nn.WeightOp(key, TensorType(f32, array.shape)))

    def dense(self, name: str, x: SSAValue, w: npt.NDArray[np.float64]) -> SSAValue:
        return self.add(nn.DenseOp(x, self.weight(f"{name}.weight", w), layer=name))

    def module(self, result: SSAValue) -> ModuleOp:
        self.network.body.block.add_op(nn.ReturnOp([result]))
        self.network.set_result_types()
        self.network.verify()
        return ModuleOp([self.network])

    def calibrate(self, **arrays: npt.NDArray[Any]) -> None:
        np.savez(self.ctx.folder / "d.npz", allow_pickle=False, **arrays)

    def refuse(self, step: ModulePass, module: ModuleOp) -> Diagnostic:
        with pytest.raises(HapirError) as caught:
            step.apply(self.ctx, module)
        return caught.value.diagnostics[0]


QUANTIZE = QuantizePass(calibration="d.npz")
IMAGES = np.linspace(-1, 1, 12).reshape(3, 4)


def test_calibration_must_fit_the_network(tmp_path: Path) -> None:
    spec = Spec(tmp_path, 1, 4)
    module = spec.module(spec.dense("f1", spec.image, np.eye(4)))
    assert spec.refuse(QUANTIZE, module).code == "HAP0401"
    spec.calibrate(picture=IMAGES)
    assert "no array `image`" in spec.refuse(QUANTIZE, module).message
    spec.calibrate(image=IMAGES[:, :2])
    assert "has shape (3, 2), the network needs (samples, 4)" in spec.refuse(QUANTIZE, module).message
    spec.calibrate(image=IMAGES)
    QUANTIZE.apply(spec.ctx, module)
    again = spec.refuse(QUANTIZE, module)
    assert again.code == "HAP0506"


def test_a_norm_that_could_be_folded_must_be(tmp_path: Path) -> None:
    spec = Spec(tmp_path, 1, 4)
    parameters = [spec.weight(key, np.ones(4)) for key in ("gamma", "beta", "mean", "variance")]
    module = spec.module(spec.add(nn.BatchNormOp(spec.dense("f1", spec.image, np.eye(4)), *parameters, layer="n1")))
    spec.calibrate(image=IMAGES)
    refused = spec.refuse(QUANTIZE, module)
    assert refused.code == "HAP0507"
    assert refused.span is not None
    assert refused.span.line == spec.lines
    FoldBatchNormPass(strict=True).apply(spec.ctx, module)
    QUANTIZE.apply(spec.ctx, module)


def test_strict_folding_refuses_what_stands_alone(tmp_path: Path) -> None:
    spec = Spec(tmp_path, 1, 4)
    parameters = [spec.weight(key, np.ones(4)) for key in ("gamma", "beta", "mean", "variance")]
    module = spec.module(spec.add(nn.BatchNormOp(spec.image, *parameters, layer="n1")))
    assert spec.refuse(FoldBatchNormPass(strict=True), module).code == "HAP0503"


def test_negative_variance_is_refused(tmp_path: Path) -> None:
    spec = Spec(tmp_path, 1, 4)
    parameters = [spec.weight(key, np.ones(4)) for key in ("gamma", "beta", "mean")]
    parameters.append(spec.weight("variance", np.array([1.0, 1.0, -1.0, 1.0])))
    module = spec.module(spec.add(nn.BatchNormOp(spec.dense("f1", spec.image, np.eye(4)), *parameters)))
    refused = spec.refuse(FoldBatchNormPass(), module)
    assert refused.code == "HAP0404"
    assert "channel 2" in refused.message


def test_accumulators_that_may_overflow_are_refused(tmp_path: Path) -> None:
    spec = Spec(tmp_path, 1, 70_000)
    module = spec.module(spec.dense("f1", spec.image, np.ones((1, 70_000))))
    spec.calibrate(image=np.ones((1, 70_000)))
    refused = spec.refuse(QUANTIZE, module)
    assert refused.code == "HAP0509"
    assert str(70_000 * 127 * 255) in refused.message


def test_average_pools_need_one_divisor(tmp_path: Path) -> None:
    spec = Spec(tmp_path, 1, 1, 4, 4)
    window = Window((3, 3), padding=(1, 1, 1, 1))
    module = spec.module(spec.add(nn.AvgPoolOp(spec.image, window=window, layer="a1")))
    spec.calibrate(image=np.ones((1, 1, 4, 4)))
    refused = spec.refuse(QUANTIZE, module)
    assert refused.code == "HAP0508"
    assert "4 to 9 elements" in refused.message


def test_a_float_layer_amid_integers_interrupts_the_body(tmp_path: Path) -> None:
    spec = Spec(tmp_path, 1, 4)
    middle = spec.add(nn.SoftmaxOp(spec.dense("f1", spec.image, np.eye(4)), layer="s1"))
    module = spec.module(spec.dense("f2", middle, np.eye(4)))
    spec.calibrate(image=IMAGES)
    QUANTIZE.apply(spec.ctx, module)
    FusePass().apply(spec.ctx, module)
    with pytest.raises(HapirError) as caught:
        cut(networks_of(module)[0], floats_inside=False)
    assert caught.value.diagnostics[0].code == "HAP0510"
    assert caught.value.diagnostics[0].labels


def test_results_keep_their_channels(tmp_path: Path) -> None:
    spec = Spec(tmp_path, 1, 4)
    hidden = spec.dense("f1", spec.image, np.eye(4))
    module = spec.module(spec.dense("f2", hidden, np.eye(4)))
    assert spec.refuse(PrunePass(0.5, layers="f2", grain="filter"), module).code == "HAP0512"
    assert spec.refuse(PrunePass(0.5, layers="f1", grain="channel"), module).code == "HAP0512"
    # by name an error, by pattern left alone
    PrunePass(0.5, layers="f*", grain="filter").apply(spec.ctx, module)
    assert [str(op.result.type) for op in module.walk() if isinstance(op, nn.DenseOp)] == [
        "tensor<1x2xf32>",
        "tensor<1x4xf32>",
    ]


def test_patterns_must_select_something(tmp_path: Path) -> None:
    spec = Spec(tmp_path, 1, 4)
    module = spec.module(spec.dense("first", spec.image, np.eye(4)))
    refused = spec.refuse(PrunePass(0.5, layers="frist"), module)
    assert refused.code == "HAP0208"
    assert refused.help == "did you mean `first`?"


@pytest.mark.parametrize("sparsity", [-0.1, 1.0, 1.5])
def test_sparsity_is_a_share(sparsity: float) -> None:
    with pytest.raises(ValueError, match="at least 0 and below 1"):
        PrunePass(sparsity)


def test_quantizer_options_have_ranges() -> None:
    for options in ({"percentile": 40.0}, {"multiplier_bits": 40}, {"max_shift": 63}, {"samples": 0}):
        with pytest.raises(ValueError, match="must be"):
            QuantizePass(calibration="d.npz", **options)  # pyright: ignore[reportArgumentType]  # one option each


def test_types_that_no_longer_fit_are_refused_at_their_op(tmp_path: Path) -> None:
    spec = Spec(tmp_path, 1, 4)
    module = spec.module(spec.dense("f1", spec.image, np.eye(4)))
    set_type(spec.image, TensorType(f32, (1, 5)))
    refused = spec.refuse(InferNnShapesPass(), module)
    assert refused.code == "HAP0301"
    assert refused.span is not None
    assert refused.span.line == spec.lines


def accuracy_spec(tmp_path: Path) -> tuple[Spec, ModuleOp]:
    spec = Spec(tmp_path, 1, 4)
    module = spec.module(spec.dense("f1", spec.image, np.eye(4)))
    spec.calibrate(image=np.eye(4), label=np.arange(4))
    return spec, module


def test_accuracy_that_fell_is_refused(tmp_path: Path) -> None:
    spec, module = accuracy_spec(tmp_path)
    assert spec.refuse(KeepAccuracyPass("d.npz", within=0.1), module).code == "HAP0515"
    spec.ctx.remember_original(module)
    KeepAccuracyPass("d.npz", within=0.0).apply(spec.ctx, module)
    PrunePass(0.9).apply(spec.ctx, module)  # classes 0 and 1 go; of zeros argmax says 0
    refused = spec.refuse(KeepAccuracyPass("d.npz", within=0.1), module)
    assert refused.code == "HAP0514"
    assert "from 1.000 to 0.750" in refused.message
    KeepAccuracyPass("d.npz", within=0.25).apply(spec.ctx, module)


def test_labels_are_needed(tmp_path: Path) -> None:
    spec, module = accuracy_spec(tmp_path)
    spec.ctx.remember_original(module)
    spec.calibrate(image=np.eye(4))
    assert "no array `label`" in spec.refuse(KeepAccuracyPass("d.npz", within=0.1), module).message


def test_names_across_the_cut(tmp_path: Path) -> None:
    """The body reads the input's integers under its name; results keep theirs; what crosses has its layer's."""
    spec = Spec(tmp_path, 1, 4)
    module = spec.module(spec.add(nn.SoftmaxOp(spec.dense("f1", spec.image, np.eye(4)), layer="s1")))
    spec.calibrate(image=IMAGES)
    QUANTIZE.apply(spec.ctx, module)
    parts = cut(networks_of(module)[0])
    assert parts.prologue is not None
    assert parts.epilogue is not None
    assert [name.data for name in parts.body.input_names] == ["image"]
    assert [name.data for name in parts.body.result_names] == ["f1"]
    assert [name.data for name in parts.epilogue.result_names] == ["y"]
    assert [part.sym_name.data for part in parts.parts] == ["n_prologue", "n", "n_epilogue"]


def test_a_float_network_is_all_body(tmp_path: Path) -> None:
    spec = Spec(tmp_path, 1, 4)
    module = spec.module(spec.add(nn.SoftmaxOp(spec.dense("f1", spec.image, np.eye(4)), layer="s1")))
    parts = cut(networks_of(module)[0])
    assert parts.parts == (parts.body,)


def test_an_input_that_is_also_a_result_passes_through(tmp_path: Path) -> None:
    spec = Spec(tmp_path, 1, 4)
    hidden = spec.dense("f1", spec.image, np.eye(4))
    network = nn.NetworkOp("n", [("image", spec.image.type)], [("y", hidden.type), ("image", hidden.type)])
    block = spec.network.body.block
    block.add_op(nn.ReturnOp([hidden, spec.image]))
    spec.network.result_names, spec.network.function_type = network.result_names, network.function_type
    module = ModuleOp([spec.network])
    spec.calibrate(image=IMAGES)
    QUANTIZE.apply(spec.ctx, module)
    data = {"image": IMAGES.astype(np.float32)}
    parts = cut(spec.network)
    found = parts.run(data, lambda part, values: run_network(part, spec.ctx.weights, values))
    expected = run_network(spec.network, spec.ctx.weights, data)
    np.testing.assert_array_equal(found["y"], expected["y"])
    np.testing.assert_array_equal(found["image"], data["image"])


@pytest.mark.parametrize(
    "step",
    [FoldBatchNormPass(), PrunePass(sparsity=0.5), QuantizePass(calibration="d.npz")],
    ids=lambda step: step.name,
)
def test_rewriting_layers_comes_before_fusing_them(tmp_path: Path, step: ModulePass):
    spec = Spec(tmp_path, 2, 4)
    module = spec.module(spec.dense("f1", spec.image, np.ones((4, 4))))
    spec.calibrate(image=np.ones((2, 4)))
    FusePass().apply(spec.ctx, module)
    with pytest.raises(HapirError, match="HAP0516"):
        step.apply(spec.ctx, module)


@pytest.mark.parametrize(
    ("stored", "words"),
    [
        (np.full((2, 4), "a"), "not one of real numbers"),
        (np.full((2, 4), 1j), "not one of real numbers"),
        (np.float32(1), r"the network needs \(samples, 4\)"),
        (np.zeros((0, 4)), "holds no samples"),
        (np.full((2, 4), 1e300), "not finite"),
    ],
)
def test_calibration_data_of_any_type_is_read_or_refused(tmp_path: Path, stored: npt.NDArray[Any], words: str):
    spec = Spec(tmp_path, 2, 4)
    module = spec.module(spec.dense("f1", spec.image, np.ones((4, 4))))
    spec.calibrate(image=stored)
    with pytest.raises(HapirError, match=words):
        QuantizePass(calibration="d.npz").apply(spec.ctx, module)
