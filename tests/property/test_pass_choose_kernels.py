"""choose_kernels and tile_kernels: every kernel that is offered computes what the reference does, in every tiling."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from xdsl.dialects.builtin import ModuleOp

from hapir.context import HapirContext
from hapir.diagnostics import HapirError
from hapir.dialects.dataflow import ScheduleOp
from hapir.dialects.kernel import ChoiceAttr, RequestOp, TilesAttr
from hapir.dialects.nn import NetworkOp
from hapir.lowering.kernel.choose import KERNEL, TILES, Decision, offers_for, products_of, work_of
from hapir.lowering.kernel.choose_kernels import ChooseKernelsPass
from hapir.lowering.kernel.host import DEFAULT, TYPICAL
from hapir.lowering.kernel.tile_kernels import TileKernelsPass
from hapir.lowering.network_edits import networks_of
from hapir.pipeline import ir_text
from hapir.weights import Array, WeightStore
from tests.property.integer_networks import IntegerSample, integer_networks
from tests.property.strategies import Sample, networks
from tests.property.test_c_reference import QUICK, Job, check, grouped

AnySample = Sample | IntegerSample
QUIET = (HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much)
RANDOM_PHASES = (Phase.explicit, Phase.reuse, Phase.generate)


def chosen(network: NetworkOp, weights: WeightStore, host: str | None = None) -> NetworkOp:
    """The network after both passes."""
    module = ModuleOp([network.clone()])
    context = HapirContext(weights=weights.copy())
    for pass_ in (ChooseKernelsPass(host), TileKernelsPass(host)):
        pass_.apply(context, module)
        module.verify()
    return networks_of(module)[0]


def with_any_kernel(network: NetworkOp, weights: WeightStore, seed: int) -> NetworkOp:
    """The network with some kernel that is offered for each layer, and blocks of any size that its layer allows."""
    draw = random.Random(seed)
    network = network.clone()
    for name, op in products_of(network):
        work = work_of(name, op, weights)
        # bf16 is another function: `test_c_bf16` has its bound
        possible = [o for o in offers_for(work, DEFAULT) if o.cost is not None and o.arithmetic != "bf16"]
        offer = draw.choice(possible)
        op.attributes[KERNEL] = Decision(name, work, tuple(possible), offer).choice
        if offer.algorithm != "direct" or draw.random() < 0.3:
            continue
        blocks = draw.randint(1, min(3, -(-work.geometry.filters // work.geometry.groups // 16)))
        pixels = draw.randint(1, work.geometry.columns)
        registers = {path: (min(pixels, 1 + i), draw.choice((1, blocks))) for i, path in enumerate(TYPICAL)}
        op.attributes[TILES] = TilesAttr.of(draw.choice(("filters", "rows")), blocks, registers)
    return network


def jobs(samples: Sequence[AnySample], seed: int) -> list[Job]:
    """Each network as chosen, and twice with kernels at random."""
    found: list[Job] = []
    for i, sample in enumerate(samples):
        network = grouped(sample.network, sample.weights) if i % 2 else sample.network
        variants = [
            chosen(network, sample.weights),
            with_any_kernel(network, sample.weights, seed),
            with_any_kernel(network, sample.weights, seed + 1),
        ]
        inputs: dict[str, Array] = dict(sample.inputs(3))
        found += [(variant, sample.weights, inputs) for variant in variants]
    return found


@settings(max_examples=2, deadline=None, phases=RANDOM_PHASES, suppress_health_check=QUIET)
@given(st.lists(integer_networks(max_layers=3), min_size=3, max_size=3), st.integers(0, 1 << 20))
def test_integer_kernels_agree_bit_for_bit(samples: list[IntegerSample], seed: int):
    check(jobs(samples, seed), QUICK)


@settings(max_examples=2, deadline=None, phases=RANDOM_PHASES, suppress_health_check=QUIET)
@given(st.lists(networks(), min_size=3, max_size=3), st.integers(0, 1 << 20))
def test_float_kernels_agree(samples: list[Sample], seed: int):
    check(jobs(samples, seed), QUICK)


@pytest.mark.slow
@settings(max_examples=60, deadline=None, phases=RANDOM_PHASES, suppress_health_check=QUIET)
@given(st.lists(st.one_of(integer_networks(max_layers=3), networks()), min_size=3, max_size=3), st.integers(0, 1 << 20))
def test_kernels_agree_over_many_networks(samples: list[AnySample], seed: int):
    check(jobs(samples, seed), QUICK)


@settings(max_examples=25, deadline=None)
@given(st.one_of(integer_networks(max_layers=3), networks()), st.sampled_from([None, "generic", "native"]))
def test_only_attributes_are_set_and_only_once(sample: AnySample, host: str | None):
    once = chosen(sample.network, sample.weights, host)
    for (_, before), (_, after) in zip(products_of(sample.network), products_of(once), strict=True):
        assert isinstance(after.attributes[KERNEL], ChoiceAttr)
        assert set(after.attributes) - set(before.attributes) <= {KERNEL, TILES}
    assert ir_text(chosen(once, sample.weights, "native" if host != "native" else "generic")) == ir_text(once)
    stripped = once.clone()
    for _, op in products_of(stripped):
        for name in (KERNEL, TILES):
            op.attributes.pop(name, None)
    assert ir_text(stripped) == ir_text(sample.network)


@settings(max_examples=25, deadline=None)
@given(networks(), st.sampled_from(["direct", "winograd", "sparse", "ras", "dsc"]))
def test_a_request_is_met_or_refused(sample: Sample, algorithm: str):
    module = ModuleOp([sample.network.clone()])
    network = networks_of(module)[0]
    found = products_of(network)
    if not found:
        return
    name = found[0][0]
    request = RequestOp(name, ChoiceAttr.of(algorithm))
    module.body.block.add_op(ScheduleOp("s", network.sym_name.data, None, "weight_stationary", [request]))
    offers = offers_for(work_of(name, found[0][1], sample.weights), DEFAULT)
    possible = any(offer.algorithm == algorithm and offer.cost is not None for offer in offers)
    try:
        ChooseKernelsPass().apply(HapirContext(weights=sample.weights.copy()), module)
    except HapirError as error:
        assert not possible
        (diagnostic,) = error.diagnostics
        assert diagnostic.code == "HAP0730"
        assert f"`{name}`" in diagnostic.message
        return
    assert possible
    choice = found[0][1].attributes[KERNEL]
    assert isinstance(choice, ChoiceAttr)
    assert choice.algorithm.data == algorithm
