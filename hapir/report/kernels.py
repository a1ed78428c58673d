"""How each layer is computed on the host: its kernel and block, predicted cycles, what binds, and why nothing else."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

from hapir.diagnostics import files_from
from hapir.dialects.kernel import TilesAttr
from hapir.dialects.kernel_kinds import Direct
from hapir.lowering.kernel.choose import FEW_BITS, TILES, Decision, Hosted, decided, is_encoded, products_of, work_of
from hapir.lowering.kernel.host import Host
from hapir.lowering.kernel.offers import Offer
from hapir.report.table import cell_text, table

if TYPE_CHECKING:
    from hapir.driver import Scheduled


@dataclass(frozen=True)
class Alternative:
    """A kernel that was not taken: its predicted cycles, or why it cannot compute the layer."""

    kernel: str
    cycles: int | None
    why_not: str | None


@dataclass(frozen=True)
class KernelRow:
    """A layer: its kernel, its register block on the host's path, predicted cycles, what binds, what else there was."""

    layer: str
    kernel: str
    block: str
    cycles: int | None
    bound: str
    alternatives: tuple[Alternative, ...]


@dataclass(frozen=True)
class KernelReport:
    """The layers of a network on a host."""

    host: str
    path: str
    rows: tuple[KernelRow, ...]

    def to_json(self) -> dict[str, object]:
        """A JSON-ready dict with the dataclass's fields."""
        return {"host": self.host, "path": self.path, "layers": [asdict(row) for row in self.rows]}

    def to_text(self) -> str:
        """A table, and beneath it what was not taken."""
        head = ("layer", "kernel", "block", "cycles", "bound")
        rows = [(r.layer, r.kernel, r.block, "" if r.cycles is None else r.cycles, r.bound) for r in self.rows]
        others = [
            (r.layer, a.kernel, a.why_not or f"{cell_text(a.cycles or 0)} cycles")
            for r in self.rows
            for a in r.alternatives
        ]
        total = sum(row.cycles or 0 for row in self.rows)
        text = f"kernels for {self.host} ({self.path}): {cell_text(total)} cycles predicted\n{table(head, rows)}"
        return f"{text}\n\n{table(('layer', 'not taken', 'as'), others)}" if others else text


def kernel_report(scheduled: Scheduled) -> KernelReport:
    """The kernels of the body of a schedule, chosen where they are not yet. Raises HapirError (HAP0728 to HAP0731)."""
    scheduled = scheduled.kernels
    host = scheduled.host
    assert host is not None
    with files_from(scheduled.design.spec.folder):
        weights = scheduled.decoded.weights
        found = products_of(scheduled.cut.body)
        encoded = {name for name, op in products_of(scheduled.network) if is_encoded(op)}
        works = [replace(work_of(name, op, weights), encoded=name in encoded) for name, op in found]
        rows = [_row(op, w.layer, host, decided(op, w, host)) for w, (_, op) in zip(works, found, strict=True)]
    return KernelReport(host.name, host.path, tuple(rows))


def _row(op: Hosted, name: str, host: Host, decision: Decision) -> KernelRow:
    taken, cost = decision.chosen, decision.chosen.cost
    key = taken.algorithm, taken.arithmetic, taken.options
    others = [o for o in decision.offers if (o.algorithm, o.arithmetic, o.options) != key]
    return KernelRow(
        name,
        taken.title,
        _block(op, host),
        None if cost is None else round(cost.cycles),
        "" if cost is None else cost.bound,
        tuple(_alternative(offer, decision) for offer in others),
    )


def _block(op: Hosted, host: Host) -> str:
    tiles = op.attributes.get(TILES)
    if not isinstance(tiles, TilesAttr):
        return ""
    pixels, blocks = tiles.by_path[host.path]
    return f"{pixels} x {16 * blocks}"


ENCODED = "its weights are encoded, and it is not asked for"
"""Why a kernel that needs another form of encoded weights is not taken, whatever it costs."""


def _alternative(offer: Offer, decision: Decision) -> Alternative:
    taken = decision.chosen
    same_form = offer.algorithm == Direct.name and (offer.arithmetic in FEW_BITS) == (taken.arithmetic in FEW_BITS)
    if decision.work.encoded and offer.cost is not None and not same_form:
        return Alternative(offer.title, None, ENCODED)
    return Alternative(offer.title, None if offer.cost is None else round(offer.cost.cycles), offer.refusal)
