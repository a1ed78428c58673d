"""What a recipe saved and what it cost, layer by layer and in all: dataclasses with `to_json` and `to_text`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from hapir.diagnostics import Diagnostic
from hapir.report.memory import Memory
from hapir.report.table import Cell, cell_text, table

PACK = "codes lie in whole bytes until `encode()`, as the last step of the recipe, packs them"


@dataclass(frozen=True)
class Footprint:
    """The parameters of a layer or a network.

    `parameters` counts the numbers that layers compute with (of a shared parameter once), `nonzeros` those of them that
    do not mean 0. `weights` counts the numbers among them that are multiplied with, `weight_bytes` what these take on
    disk, with tables, codebooks and the places of gathered weights. `disk_bytes` is what all parameters take as they
    are stored (`hapir compile` writes these arrays), `ram_bytes` what they take decoded, as the witnesses read them.
    `macs` counts the multiply-accumulates of one declared batch whose weight is not 0, as if padding were multiplied.
    `packable_bytes` are those of `weight_bytes` that hold no bit of a code: codes lie in whole bytes until `encode`
    packs them.
    """

    parameters: int = 0
    nonzeros: int = 0
    weights: int = 0
    weight_bytes: int = 0
    disk_bytes: int = 0
    ram_bytes: int = 0
    macs: int = 0
    packable_bytes: int = 0

    def __add__(self, other: Footprint) -> Footprint:
        pairs = zip(asdict(self).values(), asdict(other).values(), strict=True)
        return Footprint(*(a + b for a, b in pairs))

    @property
    def bits_per_weight(self) -> float | None:
        """Bits on disk per weight, all that `weight_bytes` counts included; None without weights."""
        return 8 * self.weight_bytes / self.weights if self.weights else None

    def to_json(self) -> dict[str, object]:
        """A JSON-ready dict with the dataclass's fields and `bits_per_weight`."""
        return {**asdict(self), "bits_per_weight": self.bits_per_weight}


@dataclass(frozen=True)
class LayerCompression:
    """One layer before and after; a side is None where there is no such layer.

    `sqnr_db` compares the layer's results on the data with those of the float network, in dB (infinite where nothing
    was lost); None where the layer has no result of the same shape on both sides.
    """

    name: str
    op: str
    original: Footprint | None
    compressed: Footprint | None
    sqnr_db: float | None

    def to_json(self) -> dict[str, object]:
        """A JSON-ready dict; an infinite ratio is the string `inf`."""
        sides = {"original": self.original, "compressed": self.compressed}
        return {
            "name": self.name,
            "op": self.op,
            **{side: None if found is None else found.to_json() for side, found in sides.items()},
            "sqnr_db": _json_number(self.sqnr_db),
        }


@dataclass(frozen=True)
class CompressionReport:
    """A schedule's network against the float network, measured on the same labelled images.

    Accuracies are shares of the images; `agreement` is the share that both networks give the same class. `total` sums
    the layers, its `sqnr_db` is that of the network's results. `activation_bytes` is the memory for activations in the
    C of the body and `memory` all that this C takes; None where the body has no C form. `file_bytes` are the sizes of
    the weights files, original and compressed, to the byte: those that `hapir compile` writes, with the names and
    shapes that `disk_bytes` leaves out.
    """

    spec: str
    schedule: str
    recipe: str | None
    images: int
    accuracy_original: float
    accuracy: float
    agreement: float
    layers: tuple[LayerCompression, ...]
    total: LayerCompression
    activation_bytes: int | None
    file_bytes: tuple[int, int]
    memory: Memory | None = None
    warnings: tuple[Diagnostic, ...] = ()
    """What the passes found odd; not part of the report's JSON, but among the command's diagnostics."""

    @property
    def original(self) -> Footprint:
        """The float network."""
        return self.total.original or Footprint()

    @property
    def compressed(self) -> Footprint:
        """The compressed network."""
        return self.total.compressed or Footprint()

    def to_json(self) -> dict[str, object]:
        """A JSON-ready dict with the dataclass's fields."""
        return {
            "spec": self.spec,
            "schedule": self.schedule,
            "recipe": self.recipe,
            "images": self.images,
            "accuracy": {"original": self.accuracy_original, "compressed": self.accuracy},
            "agreement": self.agreement,
            "layers": [layer.to_json() for layer in self.layers],
            "total": self.total.to_json(),
            "activation_bytes": self.activation_bytes,
            "memory": None if self.memory is None else self.memory.to_json(),
            "file_bytes": dict(zip(("original", "compressed"), self.file_bytes, strict=True)),
        }

    def to_text(self) -> str:
        """The accuracy, then a table with a line per layer: original -> compressed."""
        with_recipe = f" with recipe {self.recipe}" if self.recipe else " without a recipe"
        lines = [
            f"{self.schedule}{with_recipe}, {self.images} images",
            f"accuracy {_percent(self.accuracy_original)} -> {_percent(self.accuracy)} %, "
            f"the same class for {_percent(self.agreement)} %",
        ]
        before, after = self.original.disk_bytes, self.compressed.disk_bytes
        if after:
            sides = f"{cell_text(before)} -> {cell_text(after)}"
            lines.append(f"{sides} bytes on disk, {before / after:.2f} times smaller")
        files = " -> ".join(map(cell_text, self.file_bytes))
        lines.append(f"{files} bytes with names and shapes, as weights.safetensors has them")
        if self.compressed.packable_bytes:
            lines.append(f"{cell_text(self.compressed.packable_bytes)} of the bytes on disk are padding: {PACK}")
        if self.activation_bytes is not None:
            lines.append(f"{cell_text(self.activation_bytes)} bytes of RAM for activations")
        header = ("layer", "op", "parameters", "nonzeros", "bits/weight", "disk bytes", "RAM bytes", "MACs", "SQNR dB")
        lines += ["", table(header, [_row(layer) for layer in (*self.layers, self.total)])]
        if self.memory is not None:
            lines += ["", self.memory.to_text()]
        return "\n".join(lines)


@dataclass(frozen=True)
class CompressionTable:
    """Several schedules of a spec on the same images, one line each."""

    reports: tuple[CompressionReport, ...]

    def to_json(self) -> dict[str, object]:
        """A JSON-ready dict with a list of reports."""
        return {"schedules": [report.to_json() for report in self.reports]}

    def to_text(self) -> str:
        """A table: the accuracy, the bytes and the ratio of each schedule."""
        header = (*("schedule", "accuracy %", "of float", "agreement %", "disk bytes", "file bytes", "RAM bytes"),)
        rows = [summary_row(report) for report in self.reports]
        text = table((*header, "bits/weight", "nonzeros", "MACs", "SQNR dB"), rows)
        loose = [report.schedule for report in self.reports if report.compressed.packable_bytes]
        return f"{text}\n\nnot packed: {', '.join(loose)}: {PACK}" if loose else text


def summary_row(report: CompressionReport) -> Sequence[Cell]:
    """The line of a schedule in a `CompressionTable`."""
    after = report.compressed
    return (
        report.schedule,
        _percent(report.accuracy),
        f"{100 * (report.accuracy - report.accuracy_original):+.2f}",
        _percent(report.agreement),
        after.disk_bytes,
        report.file_bytes[1],
        after.ram_bytes,
        _decimal(after.bits_per_weight, 2),
        after.nonzeros,
        after.macs,
        _decimal(report.total.sqnr_db, 2),
    )


def _row(layer: LayerCompression) -> Sequence[Cell]:
    before, after = layer.original, layer.compressed

    def change(what: str) -> str:
        """Both sides, or one where they are equal or the other is missing."""
        sides = [None if side is None else int(getattr(side, what)) for side in (before, after)]
        shown = ["-" if side is None else cell_text(side) for side in sides]
        return shown[0] if shown[0] == shown[1] else " -> ".join(shown)

    widths = [_decimal(None if side is None else side.bits_per_weight, 2) for side in (before, after)]
    bits = widths[0] if widths[0] == widths[1] else " -> ".join(widths)
    counts = (change(what) for what in ("parameters", "nonzeros"))
    sizes = (change(what) for what in ("disk_bytes", "ram_bytes", "macs"))
    return (layer.name, layer.op, *counts, bits, *sizes, _decimal(layer.sqnr_db, 1))


def _percent(share: float) -> str:
    return f"{100 * share:.2f}"


def _decimal(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _json_number(value: float | None) -> float | str | None:
    """JSON has no infinity."""
    return str(value) if value in (float("inf"), float("-inf")) else value
