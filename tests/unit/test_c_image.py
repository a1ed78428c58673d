"""Weights that are read from a file and stay where the caller has them: `--weights-file`."""

from __future__ import annotations

import ctypes

import numpy as np

from hapir.lowering.kernel.plan_image import plan_image
from hapir.lowering.kernel.plan_program import plan_program
from hapir.reference.interpret import run_network
from hapir.targets.c.build import build_c_together
from hapir.targets.c.emit import emit_c
from hapir.targets.c.options import COptions
from tests.property.integer_networks import integer_networks
from tests.property.strategies import networks
from tests.property.test_c_machines import drawn
from tests.unit.test_c_emit import tiny

FLAGS = ("-std=c11", "-O1", "-ffp-contract=off", "-Wall", "-Wextra", "-Werror", "-pedantic")
IN_FILE = COptions(weights_file=True)


def test_networks_give_what_they_give_with_constants():
    integers = drawn(integer_networks(max_layers=4), 8, 5)
    jobs = [(s.network, s.weights, s.inputs(2)) for s in integers]
    artefacts = [emit_c(network, store, f"net{i}", options=IN_FILE) for i, (network, store, _) in enumerate(jobs)]
    for (network, store, inputs), module in zip(
        jobs, build_c_together(artefacts, flags=FLAGS, cache=False), strict=True
    ):
        for name, array in run_network(network, store, inputs).items():
            np.testing.assert_array_equal(module.run(inputs)[name], array)


def test_the_file_holds_each_table_at_its_place():
    program = plan_program(*tiny())
    image = plan_image(program)
    (placed,) = image.placed
    assert placed.offset == 0
    assert len(image.data) % 64 == 0
    assert image.data.startswith(placed.table.values.astype("<f4").tobytes())


def test_what_is_not_the_file_is_refused():
    artefact = emit_c(*tiny(), options=IN_FILE)
    (data,) = artefact.data.values()
    module = build_c_together([artefact], flags=FLAGS, cache=False)[0]
    load, run = module.library["tiny_load"], module.library["tiny_run"]
    load.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t]
    run.argtypes = [ctypes.c_void_p] * 3
    memory = np.zeros(artefact.context_bytes + 64, np.uint8)
    context = -(-memory.ctypes.data // 64) * 64
    file = np.frombuffer(data + bytes(64), np.uint8).copy()
    start = -(-file.ctypes.data // 64) * 64 - file.ctypes.data
    file[start : start + len(data)] = np.frombuffer(data, np.uint8)
    place = file.ctypes.data + start
    x, y = np.ones(36, np.float32), np.zeros(144, np.float32)
    ports = [(ctypes.c_void_p * 1)(array.ctypes.data) for array in (x, y)]
    arguments = (context, *(ctypes.addressof(p) for p in ports))

    assert run(*arguments) == 2
    assert load(context, None, 0) == load(None, place, len(data)) == 1
    assert load(context, place, len(data) - 1) == 2
    file[start] ^= 1
    assert load(context, place, len(data)) == 2
    assert run(*arguments) == 2
    file[start] ^= 1
    assert load(context, place, len(data)) == 0
    assert run(*arguments) == 0
    assert np.abs(y).max() > 0
    moved = np.frombuffer(bytes(1 + (-file.ctypes.data) % 8) + data + bytes(8), np.uint8).copy()
    odd = next(i for i in range(1, 9) if (moved.ctypes.data + i) % 8 == 1)
    moved[odd : odd + len(data)] = np.frombuffer(data, np.uint8)
    assert load(context, moved.ctypes.data + odd, len(data)) == 3
    assert run(*arguments) == 2


def test_float_networks_of_any_layers():
    samples = drawn(networks(), 5, 1)
    plain = [emit_c(s.network, s.weights, f"a{i}") for i, s in enumerate(samples)]
    filed = [emit_c(s.network, s.weights, f"b{i}", options=IN_FILE) for i, s in enumerate(samples)]
    modules = build_c_together([*plain, *filed], flags=FLAGS, cache=False)
    for sample, a, b in zip(samples, modules[: len(samples)], modules[len(samples) :], strict=True):
        inputs = dict(sample.inputs(2))
        expected, found = a.run(inputs), b.run(inputs)
        for name, array in expected.items():
            np.testing.assert_array_equal(found[name], array)
