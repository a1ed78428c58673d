"""Networks with encoded weights in C: what they load is what the reference decodes, and they refuse other files."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass

import numpy as np
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from xdsl.dialects.builtin import ModuleOp

from hapir.context import HapirContext
from hapir.diagnostics import HapirError
from hapir.driver import used_keys
from hapir.lowering.compress.coded_weights import code_weights
from hapir.lowering.compress.encode import EncodePass
from hapir.lowering.fold_constants import fold_constants
from hapir.lowering.kernel.plan_loads import Load, WeightsFile, plan_loads
from hapir.lowering.kernel.plan_program import plan_program
from hapir.lowering.kernel.program import ALIGNMENT, DTYPES
from hapir.lowering.network_edits import networks_of
from hapir.targets.c.build import CModule, build_c_together
from hapir.targets.c.emit import CArtefact, emit_c
from tests.property.integer_networks import IntegerSample, integer_networks
from tests.property.strategies import Sample, networks
from tests.property.test_c_sanitizers import run_sanitized
from tests.property.test_pass_encode import CHOICES
from tests.property.test_pass_fold_constants import RULES, weight_slots_of

FLAGS = ("-std=c11", "-O1", "-Wall", "-Wextra", "-Werror", "-pedantic")
NO_SHRINKING = [Phase.explicit, Phase.reuse, Phase.generate]


@dataclass(frozen=True, eq=False)
class Encoded:
    """A network in C with weights to load, the loads, the file, and the same network with its weights as constants."""

    artefact: CArtefact
    loads: tuple[Load, ...]
    file: WeightsFile
    plain: CArtefact


def encoded(sample: Sample | IntegerSample, rule: str | None, encoding: str, number: int) -> Encoded | None:
    """None where nothing can be encoded like this."""
    module, context = ModuleOp([sample.network.clone()]), HapirContext(weights=sample.weights.copy())
    network = networks_of(module)[0]
    if not weight_slots_of(network):
        return None
    if rule is not None and isinstance(sample, Sample):
        code_weights(network, "*", context, RULES[rule], rule)
    try:
        EncodePass(encoding).apply(context, module)
    except HapirError:
        return None
    context.weights.retain(used_keys(module))
    stored = context.weights.copy()
    file = WeightsFile.of(stored, fold_constants(network, context.weights))
    artefact = emit_c(network, context.weights, f"net{number}", file)
    plain = emit_c(network, context.weights, f"plain{number}")
    program = plan_program(network, context.weights)
    loads = plan_loads(program, file)
    # every weight of every kernel is only moved, so all that is encoded can be loaded
    assert len(loads) == sum(t.source is not None and t.source.key in file.encoded for t in program.tables) > 0
    return Encoded(artefact, loads, file, plain)


class Context:
    """Memory of a context, filled with what is not 0."""

    def __init__(self, artefact: CArtefact):
        self.memory = np.full(artefact.context_bytes + ALIGNMENT, 0xA5, np.uint8)
        self.address = -(-self.memory.ctypes.data // ALIGNMENT) * ALIGNMENT

    def array(self, load: Load, artefact: CArtefact) -> np.ndarray:
        start = self.address - self.memory.ctypes.data + artefact.arena_bytes + load.offset
        return self.memory[start : start + load.table.size_bytes].view(DTYPES[load.table.ctype])


def load_of(module: CModule, name: str):
    function = module.library[f"{name}_load"]
    function.restype = ctypes.c_int
    function.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t]
    return function


def check(samples: list[tuple[Sample | IntegerSample, str | None, str]]) -> int:
    """Compile all together; returns how many tables were loaded."""
    found = [encoded(sample, rule, encoding, i) for i, (sample, rule, encoding) in enumerate(samples)]
    cases = [(case, sample) for case, (sample, _, _) in zip(found, samples, strict=True) if case is not None]
    if not cases:
        return 0
    modules = build_c_together([a for case, _ in cases for a in (case.artefact, case.plain)], flags=FLAGS, cache=False)
    loaded = 0
    for (case, sample), module, plain in zip(cases, modules[::2], modules[1::2], strict=True):
        inputs = sample.inputs() if isinstance(sample, Sample) else sample.inputs(2)
        found = module.run(inputs)
        for name, array in plain.run(inputs).items():
            np.testing.assert_array_equal(found[name], array)
        loaded += len(case.loads)
        check_loads(case, module)
    return loaded


def check_loads(case: Encoded, module: CModule) -> None:
    artefact, data = case.artefact, case.file.data
    load, context = load_of(module, artefact.name), Context(artefact)
    assert load(context.address, data, len(data)) == 0
    for planned in case.loads:
        np.testing.assert_array_equal(context.array(planned, artefact), planned.table.values)
    other = Context(artefact)
    changed = bytearray(data)
    changed[-1] ^= 1
    assert load(other.address, bytes(changed), len(changed)) == 2
    assert load(other.address, data[:-1], len(data) - 1) == 2
    assert load(other.address, data, 0) == 2
    assert load(None, data, len(data)) == 1
    assert load(other.address, None, len(data)) == 1
    plain = case.plain
    moved = sum(load.table.size_bytes for load in case.loads)
    assert plain.weight_bytes == artefact.weight_bytes + moved
    assert artefact.loaded_bytes >= moved
    assert artefact.file_bytes == len(data)


@settings(max_examples=4, deadline=None, derandomize=True, phases=NO_SHRINKING)
@given(st.data())
def test_loaded_weights_are_those_of_the_reference(data: st.DataObject):
    floats = networks(max_layers=4)
    rules = st.sampled_from([None, *sorted(RULES)])
    encodings = st.sampled_from(CHOICES)
    samples = [(data.draw(floats), data.draw(rules), data.draw(encodings)) for _ in range(8)]
    whole = [(data.draw(integer_networks()), None, data.draw(encodings)) for _ in range(4)]
    assert check([*samples, *whole]) > 0


@settings(max_examples=1, deadline=None, derandomize=True, phases=NO_SHRINKING)
@given(
    st.lists(st.tuples(networks(max_layers=3), st.sampled_from(sorted(RULES))), min_size=4, max_size=4),
    st.lists(integer_networks(), min_size=2, max_size=2),
)
def test_loading_and_running_has_no_undefined_behaviour(
    floats: list[tuple[Sample, str]], integers: list[IntegerSample]
):
    drawn = [*floats, *((sample, None) for sample in integers)]
    found = [encoded(sample, rule, "smallest", i) for i, (sample, rule) in enumerate(drawn)]
    artefacts = [case.artefact for case in found if case is not None]
    assert artefacts
    run_sanitized(artefacts)
