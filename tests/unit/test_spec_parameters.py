"""Parameters of networks, machines and recipes, machines that extend others, and globs over what they make."""

from __future__ import annotations

from hapir.dialects.machine import ArrayOp, MachineOp, MemoryOp
from hapir.pipeline import ir_text
from hapir.spec.check import recipe_passes
from tests.spec_texts import BASIC, diagnostics, errors, module_of, spec_of


def test_parameters_of_a_network():
    text = """
    network mlp(x: f32[batch, inputs], inputs = 4, hidden = inputs * 2, batch = 1) -> f32[batch, 3] {
        h = dense(x, units = hidden)
        return dense(h, units = 3)
    }
    schedule small of mlp { }
    schedule wide of mlp(hidden = 100, inputs = 7) { }
    """
    assert "tensor<8x4xf32>" in ir_text(module_of(text, "small"))
    assert "tensor<100x7xf32>" in ir_text(module_of(text, "wide"))


MACHINE = """
machine ws(rows = 8, cols = rows, buffer = 16 KiB) {
    technology = cmos45
    clock = 200 MHz
    memory dram { bandwidth = 8 B/cycle, latency = 20 cycle }
    memory activations { size = 2 * buffer, holds = [input, output] }
    array pe[rows, cols] { memory accumulator { size = 256 word, holds = psum } }
}
"""


def machine_of(text: str, schedule: str) -> MachineOp:
    network = "network n(x: f32[1, 2]) -> f32[1, 2] { return relu(x) }"
    (machine,) = [op for op in module_of(network + text, schedule).walk() if isinstance(op, MachineOp)]
    return machine


def test_parameters_of_a_machine():
    machine = machine_of(f"{MACHINE} schedule s of n on ws(rows = 4, buffer = 1 KiB) {{ }}", "s")
    (array,) = [op for op in machine.walk() if isinstance(op, ArrayOp)]
    assert (array.rows.data, array.cols.data) == (4, 4)
    sizes = {op.sym_name.data: op.size_bits for op in machine.walk() if isinstance(op, MemoryOp)}
    assert sizes["activations"] is not None
    assert sizes["activations"].value.data == 2 * 1024 * 8


def test_a_machine_inherits_and_overrides():
    text = (
        MACHINE
        + """
    machine big(cols = 2) extends ws(rows = 16, cols = cols) {
        clock = 400 MHz
        memory dram { latency = 5 cycle }
        memory weights { size = 1 KiB, holds = weight }
        array pe[1, 1] { memory reg { size = 1 word, holds = weight } }
    }
    machine bigger extends big { array pe[3, 3] { } }
    schedule a of n on big { }
    schedule b of n on bigger { }
    schedule c of n on ws { }
    """
    )
    big = machine_of(text, "a")
    assert big.clock_hz is not None
    assert big.clock_hz.value.data == 400_000_000
    memories = {op.sym_name.data: op for op in big.walk() if isinstance(op, MemoryOp)}
    assert list(memories) == ["dram", "activations", "accumulator", "reg", "weights"]
    dram = memories["dram"]
    assert dram.bandwidth_bits is not None
    assert dram.latency_cycles is not None
    assert (dram.bandwidth_bits.value.data, dram.latency_cycles.value.data) == (64, 5)
    sizes = {name: _array_size(machine_of(text, name)) for name in "abc"}
    assert sizes == {"a": (1, 1), "b": (3, 3), "c": (8, 8)}


def _array_size(machine: MachineOp) -> tuple[int, int]:
    (array,) = [op for op in machine.walk() if isinstance(op, ArrayOp)]
    return array.rows.data, array.cols.data


def test_recipes_call_recipes():
    text = """
    network n(x: f32[1, 2]) -> f32[1, 2] { d1 = dense(x, units = 2); return dense(d1, units = 2) }
    recipe gentle(sparsity = 30 %, what = "d*") {
        let more = sparsity + 10 %
        prune(layers = what, sparsity = more)
    }
    recipe all { fold_batch_norm(); gentle(sparsity = 50 %); gentle(what = ["d1"]) }
    schedule s of n with gentle(sparsity = 1 / 4) { }
    """
    spec = spec_of(text)
    steps = [str(step.pass_.pipeline_pass_spec()) for step in recipe_passes(spec, "all")]
    assert steps[0] == "fold_batch_norm"
    assert 'sparsity=0.6 layers="d*"' in steps[1]
    assert 'sparsity=0.4 layers="d1"' in steps[2]
    (step,) = recipe_passes(spec, "gentle", spec.schedules["s"])
    assert "sparsity=0.35" in str(step.pass_.pipeline_pass_spec())


def test_an_error_in_a_called_recipe_shows_the_call():
    text = "recipe inner(share = 30 %) { prune(sparsity = share) }\nrecipe outer { inner(share = 200 %) }"
    (found,) = diagnostics(text)
    assert found.code == "HAP0305"
    assert [label.message for label in found.labels] == ["`share` is 200 %", "called here"]
    assert found.labels[-1].span.line == 3


def test_globs_match_hierarchical_names():
    network = """
    network n(x: f32[1, 4, 8, 8]) -> f32[1, 4, 8, 8] {
        repeat i in range(1, 2) { b[i] = basic(x, channels = 4) }
        return add(b[1], b[2])
    }"""
    good = """
    recipe r { prune(layers = "b*.c1", sparsity = 50 %) }
    schedule s of n with r on ws { map "b*.c1" { at pe { columns = K } }; map b2.c1 { at pe { rows = C } } }"""
    module = module_of(BASIC + network + MACHINE + good, "s")
    maps = [op for op in module.walk() if op.name == "dataflow.map"]
    assert [str(op.properties["layer"]) for op in maps] == ['"b1.c1"', '"b2.c1"']
    bad = """
    recipe r { prune(layers = "b3*", sparsity = 50 %) }
    schedule s of n with r on ws { map "x*" { }; map "b*" { }; map "*.c1" { } }"""
    assert [code for code, _ in errors(BASIC + network + MACHINE + bad)] == [
        "HAP0208",
        "HAP0208",
        "HAP0221",
        "HAP0221",
    ]
