"""Networks with encoded weights in C: what they load is what the reference decodes, and they refuse other files."""

from __future__ import annotations

import ctypes
import struct
import zlib
from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from xdsl.dialects.builtin import ModuleOp
from xdsl.parser import Parser

from hapir.context import HapirContext
from hapir.diagnostics import HapirError
from hapir.dialects.nn import NetworkOp
from hapir.driver import used_keys
from hapir.lowering.compress.coded_weights import code_weights
from hapir.lowering.compress.encode import EncodePass
from hapir.lowering.fold_constants import fold_constants
from hapir.lowering.kernel.buffers import ALIGNMENT
from hapir.lowering.kernel.c_types import DTYPES
from hapir.lowering.kernel.contraction_bits import Bits, Lookup
from hapir.lowering.kernel.plan_loads import Load, WeightsFile, plan_loads
from hapir.lowering.kernel.plan_program import plan_program
from hapir.lowering.kernel.steps import Convolution, Depthwise
from hapir.lowering.network_edits import networks_of
from hapir.registry import make_context
from hapir.targets.c.build import CModule, build_c_together
from hapir.targets.c.emit import CArtefact, emit_c
from hapir.weights import WeightStore
from tests.property.integer_networks import IntegerSample, integer_networks
from tests.property.strategies import Sample, networks
from tests.property.test_c_sanitizers import run_sanitized
from tests.property.test_pass_encode import CHOICES
from tests.property.test_pass_fold_constants import RULES, weight_slots_of

FLAGS = ("-std=c11", "-O1", "-Wall", "-Wextra", "-Werror", "-pedantic")
NO_SHRINKING = [Phase.explicit, Phase.reuse, Phase.generate]


@dataclass(frozen=True, eq=False)
class Encoded:
    """A network with weights to load: its IR, its C, the loads, the file, and its C with weights as constants."""

    network: NetworkOp
    artefact: CArtefact
    loads: tuple[Load, ...]
    file: WeightsFile
    plain: CArtefact
    narrow: bool
    """Whether constants of few levels are codes or bit planes in the latter."""


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
    stored, coded = context.weights.copy(), network.clone()
    file = WeightsFile.of(stored, fold_constants(network, context.weights))
    artefact = emit_c(network, context.weights, f"net{number}", file)
    plain = emit_c(network, context.weights, f"plain{number}")
    program = plan_program(network, context.weights, file.encoded)
    loads = plan_loads(program, file)
    # weights are only moved, so all that is encoded can be loaded, but where depthwise layers hold a weight twice
    twice = {id(step.weights) for step in program.steps if isinstance(step, Depthwise)}
    encoded_tables = [t for t in program.tables if t.source is not None and t.source.key in file.encoded]
    assert {id(t) for t in encoded_tables} - {id(load.table) for load in loads} <= twice
    if not loads:
        return None
    steps = plan_program(network, context.weights).steps
    narrow = any(isinstance(s, Convolution) and isinstance(s.contraction, Bits | Lookup) for s in steps)
    return Encoded(coded, artefact, loads, file, plain, narrow)


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


def runs(module: CModule, context: Context) -> int:
    """What the network says where nothing else is asked of it than whether weights are there."""
    artefact = module.artefact
    members = [np.zeros(layout.length, DTYPES[layout.ctype]) for layout in (*artefact.inputs, *artefact.results)]
    pointers = [array.ctypes.data for array in members]
    inputs, results = len(artefact.inputs), len(artefact.results)
    function = module.library[f"{artefact.name}_run"]
    function.restype = ctypes.c_int
    function.argtypes = [ctypes.c_void_p] * 3
    structs = (ctypes.c_void_p * inputs)(*pointers[:inputs]), (ctypes.c_void_p * results)(*pointers[inputs:])
    return function(context.address, *map(ctypes.addressof, structs))


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
    ends = [planned.offset + planned.table.size_bytes for planned in case.loads]
    assert all(planned.offset % ALIGNMENT == 0 for planned in case.loads)
    assert all(end <= planned.offset for end, planned in zip(ends, case.loads[1:], strict=False))
    assert load(context.address, data[:-1], len(data) - 1) == 2
    assert runs(module, context) == 2  # what was there is gone
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
    # constants of few levels lie in fewer bits
    assert plain.weight_bytes <= artefact.weight_bytes + moved
    assert case.narrow or plain.weight_bytes == artefact.weight_bytes + moved
    assert artefact.loaded_bytes >= moved
    assert artefact.file_bytes == len(data)


def forged(case: Encoded, changed: bytes, name: str) -> CArtefact:
    """The C as it would be for a file of other bytes: its checksum is right for them."""
    crc = [f"0x{zlib.crc32(data):08X}U" for data in (case.file.data, changed)]
    files = {key.replace(case.artefact.name, name): text for key, text in case.artefact.files.items()}
    assert sum(crc[0] in text for text in files.values()) == 1
    files = {key: text.replace(crc[0], crc[1]).replace(case.artefact.name, name) for key, text in files.items()}
    units = {key.replace(case.artefact.name, name): flags for key, flags in case.artefact.units.items()}
    return replace(case.artefact, name=name, files=files, units=units)


@settings(max_examples=2, deadline=None, derandomize=True, phases=NO_SHRINKING)
@given(st.data())
def test_damage_behind_a_right_checksum_is_found_where_the_reference_finds_it(data: st.DataObject):
    rules = st.sampled_from([None, *sorted(RULES)])
    drawn = [(data.draw(networks(max_layers=3)), data.draw(rules), data.draw(st.sampled_from(CHOICES))) for _ in "1234"]
    cases = [found for i, sample in enumerate(drawn) if (found := encoded(*sample, i)) is not None]
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    damaged = [(case, damage(case, rng)) for case in cases for _ in range(8)]
    artefacts = [forged(case, changed, f"forged{i}") for i, (case, changed) in enumerate(damaged)]
    modules = build_c_together(artefacts, flags=FLAGS, cache=False)
    for (case, changed), module in zip(damaged, modules, strict=True):
        status = load_of(module, module.artefact.name)(Context(module.artefact).address, changed, len(changed))
        assert status == (3 if refused(case, changed) else 0)


@pytest.mark.parametrize("bits", [0x7F800000, 0xFF800000, 0x7FC00000])
def test_a_float_that_is_not_finite_is_damage(bits: int):
    text = """
    nn.network @n (%x: tensor<1x4xf32>) -> (tensor<1x3xf32>) inputs ["x"] results ["y"] {
      %w = nn.weight "w" : tensor<3x4xf32>
      %y = nn.dense %x, %w layer "f" : (tensor<1x4xf32>, tensor<3x4xf32>) -> tensor<1x3xf32>
      nn.return %y : tensor<1x3xf32>
    }"""
    weights = WeightStore({"w": np.arange(12, dtype=np.float32).reshape(3, 4)})
    network = networks_of(Parser(make_context(), text).parse_module())[0]
    case = encoded(Sample(network, weights, (1, 4)), None, "dense", 0)
    assert case is not None
    changed = bytearray(case.file.data)
    (key,) = case.loads[0].weight.parts
    changed[case.file.starts[key] + 20 : case.file.starts[key] + 24] = struct.pack("<I", bits)
    (module,) = build_c_together([forged(case, bytes(changed), "forged")], flags=FLAGS, cache=False)
    assert load_of(module, "forged")(Context(module.artefact).address, bytes(changed), len(changed)) == 3
    assert refused(case, bytes(changed))


def damage(case: Encoded, rng: np.random.Generator) -> bytes:
    """The file with a part of one encoded weight changed."""
    keys = [key for load in case.loads for key in load.weight.parts if case.file.weights[key].nbytes]
    key = keys[rng.integers(len(keys))]
    start, size = case.file.starts[key], case.file.weights[key].nbytes
    changed = bytearray(case.file.data)
    for _ in range(int(rng.integers(1, 4))):
        changed[start + rng.integers(size)] ^= 1 << int(rng.integers(8))
    return bytes(changed)


def refused(case: Encoded, changed: bytes) -> bool:
    """Whether the reference cannot read one of the weights that the C loads."""
    arrays = {
        key: np.frombuffer(changed, array.dtype, array.size, case.file.starts[key]).reshape(array.shape)
        for key, array in case.file.weights.items()
    }
    try:
        fold_constants(case.network.clone(), WeightStore(arrays))
    except HapirError as error:
        if error.diagnostics[0].code == "HAP0552":
            return True
        raise
    return False


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
