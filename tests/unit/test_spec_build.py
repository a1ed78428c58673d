"""From a spec to IR: types, places, names, units and weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import pytest
from xdsl.context import Context
from xdsl.dialects.builtin import FileLineColLoc, ModuleOp
from xdsl.parser import Parser

from hapir.diagnostics import HapirError
from hapir.dialects import nn
from hapir.dialects.dataflow import ScheduleOp
from hapir.dialects.machine import MachineOp
from hapir.dialects.machine_memory import MemoryOp
from hapir.pipeline import ir_text
from hapir.registry import make_context
from hapir.spec import build_module, diagnose, load_spec, load_spec_text
from hapir.weights import WeightStore

SPEC = """hap 1

network digits(image: f32[2, 1, 8, 8]) -> (scores: f32[2, 10], class: i32[2]) {
    c1 = conv2d(image, channels = 4, kernel = [3, 1], padding = [1, 0], stride = 2, bias = false)
    b1 = batch_norm(c1, epsilon = 1e-3)
    p1 = max_pool(clip(b1, low = 0, high = 6), kernel = 2)
    a1 = avg_pool(p1, kernel = 2, stride = 1, padding = 1, count_include_pad = true)
    s1 = add(a1, relu(a1))
    j1 = concat(s1, a1, s1, axis = 1)
    d1 = conv2d(j1, channels = 12, kernel = 1, groups = 12, dilation = 2)
    g1 = global_avg_pool(d1)
    g2 = global_max_pool(d1)
    f1 = dense(flatten(add(g1, g2)), units = 10)
    return softmax(f1), argmax(f1)
}

machine tiny {
    technology = cmos45
    clock = 200 MHz
    memory dram   { bandwidth = 1.6 GB/s, latency = 101 ns }
    memory buffer { size = 16 KiB, width = 64 b, banks = 4, holds = [input, output], double_buffered = true }
    array pe[8, 4] {
        unit mac { multiply = u8 * i8, accumulate = i32 }
        memory psums { size = 256 word, holds = psum }
    }
    unit requantize { multiplier = u16, rounding = half_even }
}

schedule on_tiny of digits on tiny {
    map c1 {
        at dram { for = [K: 2, C: 1], bypass = [weight, output] }
        at pe { rows = [C, R], columns = K }
    }
}
"""


T = TypeVar("T")


def build(text: str = SPEC, schedule: str | None = None, network: str | None = None) -> ModuleOp:
    return build_module(load_spec_text(text, "t.hap", Path()), schedule, make_context(), network)


def test_indices_of_a_map_are_part_of_the_name() -> None:
    assert ir_text(build(SPEC.replace("map c1 {", "map c[1] {"))) == ir_text(build(SPEC))
    with pytest.raises(HapirError, match="HAP0304"):
        build(SPEC.replace("map c1 {", "map c[K: 1] {"))


def only(module: ModuleOp, kind: type[T]) -> T:
    (found,) = (op for op in module.walk() if isinstance(op, kind))
    return found


def test_module_verifies_and_survives_text():
    module = build()
    module.verify()
    assert [op.name for op in module.ops] == ["nn.network", "machine.machine", "dataflow.schedule"]
    again = Parser(make_context(), str(module)).parse_module()
    assert again.is_structurally_equivalent(module)


def test_network():
    network = only(build(), nn.NetworkOp)
    assert [n.data for n in network.input_names] == ["image"]
    assert [n.data for n in network.result_names] == ["scores", "class"]
    assert [str(t) for t in network.function_type.outputs] == ["tensor<2x10xf32>", "tensor<2xsi32>"]
    convolution = next(op for op in network.walk() if isinstance(op, nn.Conv2dOp))
    window = convolution.window.window
    assert (window.kernel, window.padding, window.stride) == ((3, 1), (1, 0, 1, 0), (2, 2))
    assert convolution.bias is None
    keys = [op.key.data for op in network.walk() if isinstance(op, nn.WeightOp)]
    assert keys == [
        "c1.weight",
        "b1.gamma",
        "b1.beta",
        "b1.mean",
        "b1.variance",
        "d1.weight",
        "d1.bias",
        "f1.weight",
        "f1.bias",
    ]
    layers = [op.layer_name for op in network.walk() if isinstance(op, nn.LayerOp)]
    assert layers == [
        "c1", "b1", "p1.clip", "p1", "a1", "s1.relu", "s1", "j1", "d1", "g1", "g2", "f1.add", "f1.flatten", "f1",
        "scores.softmax", "class.argmax",
    ]  # fmt: skip


def test_machine_in_bits_and_cycles():
    machine = only(build(), MachineOp)
    assert machine.clock_hz is not None
    assert machine.clock_hz.value.data == 200_000_000
    memories = {op.sym_name.data: op for op in machine.walk() if isinstance(op, MemoryOp)}
    dram, buffer, psums = memories["dram"], memories["buffer"], memories["psums"]
    assert dram.bandwidth_bits is not None
    assert dram.latency_cycles is not None
    # 1.6 GB/s at 200 MHz are 8 bytes per cycle; 101 ns are 20.2 cycles, and data come in whole ones
    assert (dram.bandwidth_bits.value.data, dram.latency_cycles.value.data) == (64, 21)
    assert buffer.size_bits is not None
    assert psums.size_words is not None
    assert (buffer.size_bits.value.data, psums.size_words.value.data, psums.size_bits) == (16 * 1024 * 8, 256, None)
    assert (buffer.double_buffered is not None, psums.double_buffered is not None) == (True, False)


def test_every_op_has_a_place(tmp_path: Path):
    """Also in an imported file; places are relative to the project."""
    network, rest = SPEC.split("machine", 1)
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts/n.hap").write_text(network)
    (tmp_path / "t.hap").write_text(f'hap 1\nimport "parts/n.hap"\nmachine{rest}')
    module = build_module(load_spec(tmp_path / "t.hap"), None, make_context())
    for op in module.walk():
        assert isinstance(op.location, FileLineColLoc)
        inside = any(isinstance(p, nn.NetworkOp) for p in (op, op.parent_op())) or isinstance(op, ModuleOp)
        assert op.location.filename.data == ("parts/n.hap" if inside else "t.hap")
        assert op.location.line.data > 2
    network_op = only(module, nn.NetworkOp)
    assert isinstance(network_op.location, FileLineColLoc)
    assert (network_op.location.line.data, network_op.location.column.data) == (3, 9)
    assert all(isinstance(a.location, FileLineColLoc) for a in network_op.body.block.args)


def test_dense_levels():
    levels = [str(op) for op in only(build(), ScheduleOp).body.walk() if op.name == "dataflow.level"]
    assert levels == [
        'dataflow.level "dram" loops [#dataflow.loop<K : 2>, #dataflow.loop<C : 1>] rows [] columns [] '
        'bypass ["weight", "output"]',
        'dataflow.level "pe" loops [] rows ["C", "R"] columns ["K"] bypass []',
    ]


def test_choice():
    two = SPEC + SPEC.split("\n\n")[-1].replace("on_tiny", "again")
    with pytest.raises(HapirError, match="several schedules") as raised:
        build(two)
    assert raised.value.diagnostics[0].code == "HAP0222"
    assert only(build(two, "again"), ScheduleOp).sym_name.data == "again"
    assert [op.name for op in build(two, network="digits").ops] == ["nn.network"]
    with pytest.raises(HapirError, match="there is no schedule `agian`"):
        build(two, "agian")
    with pytest.raises(HapirError, match="there is no network `n`"):
        build(two, network="n")
    with pytest.raises(HapirError, match="no networks and no schedule"):
        build("hap 1")
    without = SPEC.split("machine tiny")[0] + "schedule plain of digits { }\n"
    assert [op.name for op in build(without).ops] == ["nn.network"]


NETWORK = """hap 1
network n(x: f32[1, 4]) -> f32[1, 2] {
    weights from "w.safetensors"
    f = dense(x, units = 2)
    return f
}
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "n.hap").write_text(NETWORK)
    return tmp_path


def save(project: Path, **arrays: npt.NDArray[Any]) -> None:
    WeightStore({k.replace("__", "."): v for k, v in arrays.items()}).save(project / "w.safetensors")


def codes_of_weights(project: Path) -> list[str]:
    """What both ways to look at the weights find."""
    spec = load_spec(project / "n.hap")
    found: list[list[str]] = []
    for look in (lambda: diagnose(spec), lambda: build_module(spec, None, make_context())):
        with pytest.raises(HapirError) as raised:
            look()
        found.append([d.code for d in raised.value.diagnostics])
        assert all(d.span is not None for d in raised.value.diagnostics)
    assert found[0] == found[1]
    return found[0]


def test_weights_are_loaded(project: Path):
    weight = np.arange(8, dtype=np.float32).reshape(2, 4)
    save(project, f__weight=weight, f__bias=np.ones(2, np.float32), other=np.ones(3))
    spec, context = load_spec(project / "n.hap"), make_context()
    diagnose(spec)
    build_module(spec, None, context)
    assert sorted(context.weights) == ["f.bias", "f.weight"]
    assert np.array_equal(context.weights["f.weight"], weight)
    assert context.folder == project
    bare = make_context()
    build_module(spec, None, bare, weights=False)
    assert not bare.weights


def test_weights_that_do_not_fit(project: Path):
    good, bias = np.ones((2, 4), np.float32), np.ones(2, np.float32)
    assert codes_of_weights(project) == ["HAP0401"]
    (project / "w.safetensors").write_bytes(b'\x08\0\0\0\0\0\0\0{"a":{}}')
    assert codes_of_weights(project) == ["HAP0401"]
    save(project, f__bias=bias)
    assert codes_of_weights(project) == ["HAP0402"]
    save(project, f__weight=good.T, f__bias=bias)
    assert codes_of_weights(project) == ["HAP0403"]
    save(project, f__weight=good.astype(np.int8), f__bias=bias)
    assert codes_of_weights(project) == ["HAP0406"]
    save(project, f__weight=good * np.float32("inf"), f__bias=bias * np.float32("nan"))
    assert codes_of_weights(project) == ["HAP0404", "HAP0404"]


def test_weights_stay_inside(project: Path):
    inside = project / "inside"
    inside.mkdir()
    save(project, f__weight=np.ones((2, 4), np.float32), f__bias=np.ones(2, np.float32))
    (inside / "n.hap").write_text(NETWORK.replace("w.safe", "../w.safe"))
    assert codes_of_weights(inside) == ["HAP0214"]
    build_module(load_spec(inside / "n.hap", allow_outside=True), None, make_context())
    # a file in a folder of the project may name one above it that is still inside
    (project / "main.hap").write_text('hap 1\nimport "inside/n.hap"\n')
    diagnose(load_spec(project / "main.hap"))


def test_context_knows_all_dialects_and_loads_none():
    context = make_context()
    assert {"nn", "num", "machine", "dataflow", "builtin", "hw", "comb", "seq"} <= set(context.registered_dialect_names)
    assert isinstance(context, Context)
    assert list(context.loaded_dialects) == []
