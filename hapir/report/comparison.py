"""What `hapir run --compare` reports: each layer beside the tensor of an ONNX model that it should equal."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from hapir.report.table import table

EQUAL, DIFFERS, INSIDE, ALONE = "equal", "differs", "inside", "alone"


@dataclass(frozen=True)
class LayerMatch:
    """A layer and the tensor of the model beside it.

    `verdict` is `equal` where some tensor of its shape has its values; `inside` where none has, but all that is
    computed from it is equal again (a layer that the model writes otherwise); `alone` where it is not so and the model
    has no tensor of its shape; else `differs`, and `tensor` is the one of its name or, `by_name` False, the nearest in
    value. `max_abs_error` is the largest difference, `relative_error` that over the largest magnitude in the tensor.
    """

    layer: str
    op: str
    verdict: str
    tensor: str | None = None
    by_name: bool = False
    max_abs_error: float | None = None
    relative_error: float | None = None


@dataclass(frozen=True)
class Comparison:
    """A network beside a model, on some images; `within` is the relative error up to which values are equal."""

    network: str
    model: str
    images: int
    within: float
    layers: tuple[LayerMatch, ...]

    @property
    def first(self) -> LayerMatch | None:
        """The first layer that differs, in the network's order."""
        return next((layer for layer in self.layers if layer.verdict == DIFFERS), None)

    @property
    def unmatched(self) -> tuple[str, ...]:
        """Layers that no tensor of the model belongs to."""
        return tuple(layer.layer for layer in self.layers if layer.tensor is None)

    def to_json(self) -> dict[str, object]:
        """JSON-ready."""
        first = self.first
        return {
            "network": self.network,
            "model": self.model,
            "images": self.images,
            "within": self.within,
            "first": None if first is None else asdict(first),
            "unmatched": list(self.unmatched),
            "layers": [asdict(layer) for layer in self.layers],
        }

    def to_text(self) -> str:
        """The verdict, then a table of the layers."""
        lines = [f"{self.network} beside {self.model}: {self.images} images", self._verdict()]
        if self.unmatched:
            lines.append(f"without a tensor of their own in the model: {', '.join(self.unmatched)}")
        rows = [
            (x.layer, x.op, x.verdict, x.tensor or "", *map(_shown, (x.max_abs_error, x.relative_error)))
            for x in self.layers
        ]
        return "\n".join((*lines, table(("layer", "op", "verdict", "tensor", "error", "relative"), rows)))

    def _verdict(self) -> str:
        first = self.first
        if first is None:
            alone = [layer.layer for layer in self.layers if layer.verdict == ALONE]
            if alone:
                return f"`{alone[0]}` and what follows from it equal nothing in the model"
            return f"all layers are equal within {self.within:g} of the largest value"
        nearest = "" if first.by_name else ", the nearest of its shape"
        return (
            f"the first layer that differs is `{first.layer}`: by {first.max_abs_error:.4g} from `{first.tensor}`"
            f"{nearest} ({first.relative_error:.3g} of its largest value)"
        )


def _shown(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}"
