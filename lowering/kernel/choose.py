"""The choice of kernels: every family's offers for a layer, what the schedule asks of it, and the cheapest that fits.

Plain functions that `choose_kernels`, reports and the tuner share; only the pass writes attributes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields, replace
from typing import NoReturn

import numpy as np
from xdsl.dialects.builtin import FloatAttr, IntegerAttr, ModuleOp, StringAttr, i64
from xdsl.ir import Attribute, Operation, SSAValue

from hapir.diagnostics import Label, fail, span_of
from hapir.dialects import nn
from hapir.dialects.dataflow import LayerOp, ScheduleOp
from hapir.dialects.enc import DecodeOp
from hapir.dialects.kernel import ChoiceAttr, RequestOp, TilesAttr
from hapir.dialects.kernel_kinds import Direct, Dsc, KernelKind, kind_of
from hapir.dialects.machine import MachineOp
from hapir.dialects.nn import NetworkOp
from hapir.dialects.num import element_type, is_float, is_signed, storage_of, zero_point_of
from hapir.dialects.num_types import integer_range
from hapir.lowering.constants import constant_value, is_constant
from hapir.lowering.kernel import costs_dense, costs_winograd
from hapir.lowering.kernel.families import ras_offers, sparse_offers
from hapir.lowering.kernel.geometry import Tiles
from hapir.lowering.kernel.host import DEFAULT, GENERIC, NATIVE, Host, detect, host_of
from hapir.lowering.kernel.offers import Offer, Work
from hapir.lowering.kernel.plan_bits import codes_of
from hapir.lowering.kernel.plan_codes import BITS, BYTES, CODES
from hapir.lowering.kernel.plan_products import geometry_of, loops_of
from hapir.lowering.kernel.register_tiles import best_tiles, cost_of
from hapir.selectors import matches
from hapir.weights import WeightStore

Family = Callable[[Work, Host], Sequence[Offer]]

FAMILIES: tuple[Family, ...] = (costs_dense.offers, costs_winograd.offers, sparse_offers, ras_offers)
"""All that is asked for offers; of equal costs the first wins."""

KERNEL, TILES = "kernel", "tiles"
"""The attributes of a layer that hold its choice and its tiles."""

HOSTED = (nn.Conv2dOp, nn.Conv1dOp, nn.DenseOp)
"""The ops that have kernels to choose from."""
Hosted = nn.Conv2dOp | nn.Conv1dOp | nn.DenseOp


@dataclass(frozen=True)
class Request:
    """What the schedule asks of a layer, and where it says so."""

    op: RequestOp
    kind: KernelKind


@dataclass(frozen=True)
class Decision:
    """A layer's kernel: the offer that was taken, all offers, and the request that it had to meet."""

    layer: str
    work: Work
    offers: tuple[Offer, ...]
    chosen: Offer
    request: Request | None = None

    @property
    def choice(self) -> ChoiceAttr:
        """What the IR says of it: the offer, and what was asked for beside it."""
        asked = {} if self.request is None else dict(self.request.op.choice.options.data)
        options = {name: _attribute(value) for name, value in self.chosen.options.items()} | asked
        return ChoiceAttr.of(self.chosen.algorithm, self.chosen.arithmetic, options)


def _attribute(value: int | float | str) -> Attribute:
    match value:
        case int():
            return IntegerAttr(value, i64)
        case float():
            return FloatAttr(value, 64)
        case str():
            return StringAttr(value)


# --- the host -------------------------------------------------------------------------------------------------------


def find_host(module: ModuleOp, name: str | None = None) -> Host:
    """The host that kernels are chosen for.

    By name, a machine of the module, `native` or `generic`; without a name, the host of the machine that the module's
    schedule names, else `DEFAULT`. Raises HapirError (HAP0728) where a name means none.
    """
    if name == NATIVE:
        return detect()
    if name == GENERIC:
        return DEFAULT
    machines = {op.sym_name.data: op for op in module.body.block.ops if isinstance(op, MachineOp)}
    if name is not None:
        machine = machines.get(name)
        host = None if machine is None else host_of(machine)
        if host is None:
            known = [*(n for n, op in machines.items() if host_of(op) is not None), NATIVE, GENERIC]
            what = f"there is no machine `{name}`" if machine is None else f"the machine `{name}` has no host"
            fail("HAP0728", what, at=machine, help=f"kernels can be chosen for {', '.join(known)}")
        return host
    for schedule in (op for op in module.body.block.ops if isinstance(op, ScheduleOp)):
        machine = None if schedule.machine is None else machines.get(schedule.machine.string_value())
        host = None if machine is None else host_of(machine)
        if host is not None:
            return host
    return DEFAULT


# --- layers and requests --------------------------------------------------------------------------------------------


def products_of(network: NetworkOp) -> list[tuple[str, Hosted]]:
    """The convolutions and dense layers of a network, with their names as a spec knows them."""
    found: list[tuple[str, Hosted]] = []
    for op in network.body.walk():
        if isinstance(op, HOSTED) and is_constant(op.w) and not is_constant(op.x):
            group = op.parent_op()
            own = op.layer_name or (group.layer_name if isinstance(group, LayerOp) else "")
            found.append((own, op))
    return found


def requests_of(module: ModuleOp, network: NetworkOp) -> dict[str, Request]:
    """What the module's schedules ask of the layers of a network, by layer; a name outright goes before a glob.

    Raises HapirError: HAP0729 where a request names no convolution or dense layer, HAP0305 for options that its
    algorithm does not have.
    """
    names = [name for name, _ in products_of(network)]
    asked: dict[str, Request] = {}
    for op in (op for schedule in _schedules(module, network) for op in schedule.body.block.ops):
        if not isinstance(op, RequestOp):
            continue
        pattern = op.layers.data
        try:
            request = Request(op, kind_of(op.choice))
        except ValueError as error:
            fail("HAP0305", str(error), at=op, help="see `hapir explain schedule`")
        matching = [name for name in names if matches(name, pattern)]
        if not matching:
            fail(
                "HAP0729",
                f"`{pattern}` names no convolution or dense layer that is left to compute",
                at=op,
                help=f"these are {', '.join(dict.fromkeys(names)) or 'none'}",
            )
        for name in matching:
            if name == pattern or name not in asked or asked[name].op.layers.data != name:
                asked[name] = request
    return asked


def _schedules(module: ModuleOp, network: NetworkOp) -> list[ScheduleOp]:
    name = network.sym_name.data
    ops = (op for op in module.body.block.ops if isinstance(op, ScheduleOp))
    return [op for op in ops if op.network.string_value() == name]


def work_of(name: str, op: Hosted, weights: WeightStore) -> Work:
    """A layer as cost functions see it. Raises HapirError where its weights are missing."""
    array = constant_value(op.w, weights)
    rows = np.moveaxis(array, 1, -1).reshape(array.shape[0], -1) if array.ndim > 2 else array
    element = element_type(op.x)
    storage = None if is_float(op.x) else storage_of(element)
    return Work(
        name,
        geometry_of(op),
        rows,
        None if storage is None else storage.width.data,
        storage is not None and is_signed(storage),
        0 if storage is None else zero_point_of(element),
        str(element_type(op.w)),
        array,
        op.multiplier is not None,
        is_encoded(op),
        None if storage is None or storage.width.data > 8 else codes_of(op.x, integer_range(storage)),
    )


def is_encoded(op: Hosted) -> bool:
    """Whether the weights are stored as an encoding, which a program decodes when it starts."""
    pending: list[SSAValue] = [op.w]
    while pending:
        owner = pending.pop().owner
        if isinstance(owner, DecodeOp):
            return True
        if isinstance(owner, Operation):
            pending += owner.operands
    return False


# --- the choice -----------------------------------------------------------------------------------------------------


def offers_for(work: Work, host: Host, asked: KernelKind | None = None) -> tuple[Offer, ...]:
    """All families' offers, refusals too; of the dense-sparse kernel the one that is asked for, where one is.

    Where bytes are asked for that the formats imply anyway, the offer has their name.
    """
    offers = tuple(offer for family in FAMILIES for offer in family(work, host))
    if isinstance(asked, Direct) and asked.arithmetic == BYTES and costs_dense.multiplies_bytes(work):
        return tuple(o if o.algorithm != Direct.name or o.arithmetic else replace(o, arithmetic=BYTES) for o in offers)
    if isinstance(asked, Dsc) and any(o.algorithm == Dsc.name and o.cost is not None for o in offers):
        others = (offer for offer in offers if offer.algorithm != Dsc.name)
        return (*others, costs_winograd.dsc_offer(work, host, asked.tau, asked.tile))
    return offers


FEW_BITS = (BITS, CODES)
"""Arithmetics whose weights lie at their own bits."""


def decodes(works: Iterable[Work], host: Host) -> bool:
    """Whether weights that lie encoded in a file are decoded when the program starts.

    Where all of them can be constants of few bits instead, they need neither the file nor bytes in RAM.
    """
    return any(
        work.encoded and not any(o.arithmetic in FEW_BITS and o.cost is not None for o in offers_for(work, host))
        for work in works
    )


def decide(op: Hosted, work: Work, host: Host, request: Request | None, *, decoded: bool = True) -> Decision:
    """The cheapest kernel of a layer, or of those that meet the request. Raises HapirError (HAP0730).

    `decoded`: encoded weights are decoded when the program starts, which outer products of floats and bytes do.
    """
    offers = offers_for(work, host, None if request is None else request.kind)
    fitting = fitting_offers(offers, request)
    if request is None and work.encoded:
        arithmetics = ("", BYTES) if decoded else FEW_BITS
        direct = [o for o in offers if o.algorithm == Direct.name and o.cost is not None]
        fitting = [o for o in direct if o.arithmetic in arithmetics]
    if not fitting:
        _fail_request(op, work, offers, request)
    return Decision(work.layer, work, offers, min(fitting, key=_cycles), request)


def fitting_offers(offers: Sequence[Offer], request: Request | None) -> list[Offer]:
    """The kernels that meet a request; what must be asked for is none of them unless its arithmetic is named."""
    fitting = [o for o in offers if o.cost is not None and (request is None or meets(o, request.kind))]
    named = request is not None and isinstance(request.kind, Direct) and request.kind.arithmetic is not None
    return fitting if named else [o for o in fitting if not o.only_asked]


def _cycles(offer: Offer) -> float:
    assert offer.cost is not None
    return offer.cost.cycles


TILE_OPTIONS = ("pixels", "blocks", "order")
"""Options of a direct kernel that `tile_kernels` carries out, and no family offers."""


def meets(offer: Offer, kind: KernelKind) -> bool:
    """Whether an offer is what was asked for, as far as that was said."""
    if offer.algorithm != kind.name:
        return False
    if isinstance(kind, Direct) and kind.arithmetic not in (None, offer.arithmetic):
        return False
    said = {f.name: getattr(kind, f.name) for f in fields(kind) if f.name not in ("arithmetic", *TILE_OPTIONS)}
    return all(value is None or offer.options.get(name, value) == value for name, value in said.items())


def _fail_request(op: Hosted, work: Work, offers: Sequence[Offer], request: Request | None) -> NoReturn:
    """Say why a layer cannot have the kernel that was asked for, and which ones it can have."""
    possible = ", ".join(f"`{o.title}`" for o in offers if o.cost is not None)
    help = f"possible here: {possible}" if possible else "no kernel computes this layer"
    if request is None:
        reasons = "; ".join(f"{o.title}: {o.refusal}" for o in offers)
        fail("HAP0730", f"the layer `{work.layer}` has no kernel: {reasons}", at=op, help=help)
    kind = request.kind
    wanted = Offer(kind.name, getattr(kind, "arithmetic", None) or "").title
    refusals = [o.refusal for o in offers if o.refusal is not None and meets(o, kind)]
    reason = refusals[0] if refusals else _unknown(kind, offers)
    what = f"the layer `{work.layer}` cannot be computed by `{wanted}`: {reason}"
    fail("HAP0730", what, at=op, labels=_asked_here(request), help=help)


def _asked_here(request: Request | None) -> list[Label]:
    """Where the spec asks for a kernel, beside the layer that cannot have it."""
    span = None if request is None else span_of(request.op.location)
    return [] if span is None else [Label(span, "asked for here")]


def _unknown(kind: KernelKind, offers: Sequence[Offer]) -> str:
    """Why nothing that was offered is what was asked for."""
    own = [o for o in offers if o.algorithm == kind.name]
    if not own:
        return "the C target has no such kernel"
    arithmetic = getattr(kind, "arithmetic", None)
    known = [o.arithmetic for o in own if o.arithmetic]
    if BITS in known and BYTES not in known:  # what the formats imply has no name where nothing else is possible
        known.append(BYTES)
    if arithmetic is not None and not known:
        return "its formats have one arithmetic, which needs no name"
    if arithmetic is not None and arithmetic not in known:
        others = f", only {' or '.join(f'`{k}`' for k in known)}" if known else ""
        return f"there is no arithmetic `{arithmetic}` for its formats{others}"
    return "no kernel has these options"


def decided(op: Hosted, work: Work, host: Host) -> Decision:
    """What the IR says of a layer, as a decision: for reports. Its cost is that of the tiles that it has."""
    choice, tiles = op.attributes.get(KERNEL), op.attributes.get(TILES)
    kind = kind_of(choice) if isinstance(choice, ChoiceAttr) else Direct()
    offers = offers_for(work, host, kind)
    same = [o for o in offers if o.cost is not None and o.algorithm == kind.name and _written(kind) == o.arithmetic]
    taken = next((o for o in same if meets(o, kind)), Offer(kind.name))
    if isinstance(tiles, TilesAttr):
        taken = tiled(taken, work, tiles, host)
    return Decision(work.layer, work, offers, taken)


def _written(kind: KernelKind) -> str:
    """The arithmetic that a choice names, empty where it is implied."""
    return (kind.arithmetic or "") if isinstance(kind, Direct) else ""


def tiled(offer: Offer, work: Work, tiles: TilesAttr, host: Host) -> Offer:
    """An offer at the cost of given tiles, where these are its own."""
    if offer.algorithm != Direct.name or work.modelled or work.depthwise:
        return offer
    contraction = costs_dense.contraction_for(work, offer.arithmetic)
    loops = loops_of(work.geometry, contraction)
    return replace(offer, cost=cost_of(loops, contraction, Tiles.of(tiles), host))


# --- tiles ----------------------------------------------------------------------------------------------------------


def tiles_of(op: Hosted, work: Work, host: Host, request: Request | None = None) -> TilesAttr | None:
    """The tiles of a layer; None where its kernel is not one of outer products, or has blocks of its own.

    Raises HapirError (HAP0731) where a block is asked for that the layer cannot have; `request` is where.
    """
    choice = op.attributes.get(KERNEL)
    if choice is not None and not isinstance(choice, ChoiceAttr):
        return None
    found = best_tiles_of(op, work, host, choice, 1, request)
    return found[0] if found else None


def best_tiles_of(
    op: Hosted, work: Work, host: Host, choice: ChoiceAttr | None, count: int, request: Request | None = None
) -> list[TilesAttr]:
    """So many tiles of a layer under a choice, as `tiles_of`, the one that should be fastest first."""
    asked = Direct() if choice is None else kind_of(choice)
    if not isinstance(asked, Direct):
        return []
    said = {name: getattr(asked, name) for name in TILE_OPTIONS if getattr(asked, name) is not None}
    if work.modelled or work.depthwise:
        if said:
            why = "filters that see one channel each" if work.depthwise else "a multiplier model"
            what = f"the layer `{work.layer}` has no register blocks: it computes with {why}"
            help = f"leave {' and '.join(f'`{name}`' for name in said)} out"
            fail("HAP0731", what, at=op, labels=_asked_here(request), help=help)
        return []
    contraction = costs_dense.contraction_for(work, asked.arithmetic or "")
    try:
        found = best_tiles(loops_of(work.geometry, contraction), contraction, host, count, said)
    except ValueError as error:
        what = f"the layer `{work.layer}` has no such register block: {error}"
        fail("HAP0731", what, at=op, labels=_asked_here(request), help="ask for less")
    return [TilesAttr.of(tiles.order, tiles.superblock, tiles.registers) for tiles in found]
