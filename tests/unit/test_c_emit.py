"""What the C target writes: files, sizes, names, interface; and what it refuses."""

from __future__ import annotations

import ctypes
import io
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from xdsl.dialects.builtin import FloatData, ModuleOp, TensorType, f32
from xdsl.ir import Attribute, Operation, SSAValue

from hapir.context import HapirContext
from hapir.diagnostics import HapirError
from hapir.dialects import nn, num
from hapir.dialects.nn_shapes import Window
from hapir.dialects.num import AffineType, Rounding, signed, unsigned
from hapir.targets.c.build import build_c, find_compiler
from hapir.targets.c.emit import CArtefact, emit_c
from hapir.targets.c.options import COptions
from hapir.targets.c.print_weights import LARGE_BYTES
from hapir.targets.c.target import CTarget
from hapir.weights import WeightStore


def tiny(name: str = "tiny", port: str = "image") -> tuple[nn.NetworkOp, WeightStore]:
    """conv2d 1x1x6x6 -> 1x4x6x6, relu, in f32."""
    store = WeightStore({"w": np.arange(36, dtype=np.float32).reshape(4, 1, 3, 3) / 8 - 2})
    network = nn.NetworkOp(name, [(port, TensorType(f32, (1, 1, 6, 6)))], [(port, TensorType(f32, (1, 4, 6, 6)))])
    block = network.body.block
    w = nn.WeightOp("w", TensorType(f32, (4, 1, 3, 3)))
    conv = nn.Conv2dOp(block.args[0], w.result, window=Window((3, 3), padding=(1, 1, 1, 1)), layer="c1")
    relu = nn.ReluOp(conv.result, layer="r1")
    block.add_ops([w, conv, relu, nn.ReturnOp([relu.result])])
    network.verify()
    return network, store


def refused(ops: list[Operation], inputs: list[SSAValue], store: WeightStore) -> str:
    """The code with which the C target refuses a network whose result is the last op's."""
    network = nn.NetworkOp("n", [(f"i{k}", v.type) for k, v in enumerate(inputs)], [("y", ops[-1].results[0].type)])
    for placeholder, argument in zip(inputs, network.body.block.args, strict=True):
        placeholder.replace_all_uses_with(argument)
    network.body.block.add_ops([*ops, nn.ReturnOp([ops[-1].results[0]])])
    network.verify()
    with pytest.raises(HapirError) as caught:
        emit_c(network, store)
    return caught.value.diagnostics[0].code


def placeholder(type_: TensorType[Attribute]) -> SSAValue:
    """A value to be replaced by a network's input."""
    return nn.WeightOp("placeholder", type_).result


def test_files_and_sizes():
    artefact = emit_c(*tiny())
    assert sorted(artefact.files) == ["tiny.c", "tiny.h", "tiny_weights.c"]
    assert artefact.weight_bytes == 4 * 9 * 16  # whole vectors of filters
    assert [row.macs for row in artefact.layers if row.kernel == "convolution"] == [36 * 36]
    assert artefact.live_bytes <= artefact.arena_bytes
    assert f"#define TINY_ARENA_BYTES {artefact.arena_bytes}\n" in artefact.files["tiny.h"]


def test_the_header_says_what_to_compile():
    (plain,) = [line for line in emit_c(*tiny()).files["tiny.h"].splitlines() if "Build:" in line]
    assert "tiny.c and tiny_weights.c" in plain
    dispatched = emit_c(*tiny(), options=COptions(dispatch=True))
    assert "tiny.c" not in dispatched.units
    (line,) = [line for line in dispatched.files["tiny.h"].splitlines() if "Build:" in line]
    assert "Makefile" in line
    assert "tiny_weights.c" not in line


def test_the_report_is_the_size_of_the_context():
    # the batch driver asserts it at compile time; here the assertion is made to fail
    artefact = emit_c(*tiny())
    header = artefact.files["tiny.h"].replace("arena[TINY_ARENA_BYTES]", "arena[TINY_ARENA_BYTES + 64]")
    with pytest.raises(HapirError, match="HAP0802"):
        build_c(changed(artefact, {"tiny.h": header}), cache=False)


def changed(artefact: CArtefact, files: dict[str, str]) -> CArtefact:
    """An artefact with some files replaced."""
    return replace(artefact, files=artefact.files | files)


def test_elementwise_ops_run_in_place_and_results_in_the_callers_memory():
    network, store = tiny()
    block = network.body.block
    clip = nn.ClipOp(network.return_op.values[0], low=0.0, high=6.0, layer="k1")
    block.insert_op_before(clip, network.return_op)
    network.return_op.operands[0] = clip.result
    artefact = emit_c(network, store)
    # relu writes over the convolution's result: one map, a patch and the sums are all there is
    patch, sums = 4 * 9 * 4, 4 * 4 * 4
    assert artefact.live_bytes <= 4 * 36 * 4 + -(-patch // 64) * 64 + -(-sums // 64) * 64 + 4 * 36 * 4
    found = build_c(artefact, cache=False).run({"image": np.ones((1, 1, 6, 6), np.float32)})["image"]
    assert found.max() == 6.0


@pytest.mark.parametrize("name", ["int", "string", "main", "λ", "1x", "a.b", "memcpy", "class", "NULL", "x_run"])
def test_any_network_and_tensor_name_compiles(name: str):
    artefact = emit_c(*tiny(name, name))
    module = build_c(artefact, flags=("-std=c11", "-O0", "-Wall", "-Wextra", "-Werror", "-pedantic"), cache=False)
    found = module.run({name: np.ones((2, 1, 6, 6), np.float32)})
    assert found[name].shape == (2, 4, 6, 6)


def test_null_pointers_are_reported():
    module = build_c(emit_c(*tiny()), cache=False)
    run = module.library["tiny_run"]
    run.argtypes = [ctypes.c_void_p] * 3
    members = (ctypes.c_void_p * 1)(None)
    memory = ctypes.create_string_buffer(1 << 16)
    assert run(None, None, None) == 1
    assert run(ctypes.addressof(memory), ctypes.addressof(members), ctypes.addressof(members)) == 1


def test_the_header_serves_cplusplus(tmp_path: Path):
    artefact = emit_c(*tiny("class"))
    (tmp_path / f"{artefact.name}.h").write_text(artefact.files[f"{artefact.name}.h"])
    (tmp_path / "main.cpp").write_text(
        f'#include "{artefact.name}.h"\nint main() {{ return {artefact.name}_run(nullptr, nullptr, nullptr); }}\n'
    )
    command = [*find_compiler().command, "-x", "c++", "-std=c++11", "-Wall", "-Wextra", "-Werror", "-pedantic"]
    subprocess.run([*command, "-fsyntax-only", "main.cpp"], cwd=tmp_path, check=True)


def test_a_bias_of_many_filters_compiles():
    filters = LARGE_BYTES // 4 + 16
    store = WeightStore()
    rng = np.random.default_rng(0)
    store.put("w", rng.standard_normal((filters, 3), dtype=np.float32))
    store.put("b", rng.standard_normal(filters, dtype=np.float32))
    types = TensorType(f32, (1, 3)), TensorType(f32, (1, filters))
    network = nn.NetworkOp("wide", [("x", types[0])], [("y", types[1])])
    w, b = nn.WeightOp("w", TensorType(f32, (filters, 3))), nn.WeightOp("b", TensorType(f32, (filters,)))
    dense = nn.DenseOp(network.body.block.args[0], w.result, b.result, layer="y")
    network.body.block.add_ops([w, b, dense, nn.ReturnOp([dense.result])])
    x = np.ones((1, 3), np.float32)
    found = build_c(emit_c(network, store)).run({"x": x})["y"]
    np.testing.assert_allclose(found[0], store["w"].sum(axis=1) + store["b"], rtol=1e-5, atol=1e-5)


def test_the_target_prints_every_network():
    network, store = tiny()
    output = io.StringIO()
    CTarget().emit(HapirContext(weights=store), ModuleOp([network]), output)
    assert "int tiny_run(struct tiny_ctx *ctx" in output.getvalue()
    assert "tiny_weights.c ----" not in output.getvalue()


def test_text_does_not_depend_on_the_hash_seed():
    program = (
        "import hashlib; from tests.unit.test_c_emit import tiny; from hapir.targets.c.emit import emit_c\n"
        "files = emit_c(*tiny()).files\n"
        "print(hashlib.sha256(repr(sorted(files.items())).encode()).hexdigest())"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
            cwd=Path(__file__).parents[2],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("0", "1", "77")
    }
    assert len(digests) == 1


def test_a_sum_that_may_overflow_is_refused():
    store = WeightStore({"w": np.full((1, 70000), 127, np.int8)})
    x = placeholder(TensorType(AffineType(unsigned(8), FloatData(1.0), 0), (1, 70000)))
    w = nn.WeightOp("w", TensorType(AffineType(signed(8), FloatData(1.0), 0), (1, 70000)))
    assert refused([w, nn.DenseOp(x, w.result, layer="f")], [x], store) == "HAP0710"


def test_an_unbounded_integer_add_is_refused():
    x, y = (placeholder(TensorType(signed(32), (1, 4))) for _ in range(2))
    assert refused([nn.AddOp(x, y, layer="a")], [x, y], WeightStore()) == "HAP0710"


def test_missing_and_broken_weights_are_refused():
    x = placeholder(TensorType(f32, (1, 4)))
    w = nn.WeightOp("w", TensorType(f32, (2, 4)))
    assert refused([w, nn.DenseOp(x, w.result)], [x], WeightStore()) == "HAP0423"
    x = placeholder(TensorType(f32, (1, 4)))
    w = nn.WeightOp("w", TensorType(f32, (2, 4)))
    broken = WeightStore({"w": np.full((2, 4), np.nan, np.float32)})
    assert refused([w, nn.DenseOp(x, w.result)], [x], broken) == "HAP0704"


def test_a_computed_bias_of_integers_is_refused():
    """Its range is not known, so that no sum is proven to fit."""
    codes = AffineType(signed(8), FloatData(1.0), 0)
    x, w = placeholder(TensorType(codes, (1, 4))), placeholder(TensorType(codes, (2, 4)))
    bias = placeholder(TensorType(signed(32), (2,)))
    assert refused([nn.DenseOp(x, w, bias)], [x, w, bias], WeightStore()) == "HAP0703"


def test_a_shift_past_62_is_refused():
    store = WeightStore({"m": np.ones(1, np.uint16), "s": np.full(1, 63, np.uint8)})
    x = placeholder(TensorType(signed(32), (1, 4)))
    m, s = nn.WeightOp("m", TensorType(unsigned(16), (1,))), nn.WeightOp("s", TensorType(unsigned(8), (1,)))
    result = TensorType(AffineType(unsigned(8), FloatData(1.0), 0), (1, 4))
    op = num.RequantizeOp(x, m.result, s.result, result, rounding=Rounding.floor, low=0, high=255)
    assert refused([m, s, op], [x], store) == "HAP0705"
