"""What runs and checks report: frozen dataclasses with `to_json` for scripts and `to_text` for people."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from hapir.report.profile import Profile
from hapir.report.table import table

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Difference:
    """How one tensor of the body differs from the reference: counts for integers, errors for floats.

    `max_abs_error` and `max_rel_error` are 0 for integers without mismatch; the relative error is taken against the
    largest magnitude of the reference tensor, so that values near zero do not dominate.
    """

    tensor: str
    values: int
    integer: bool
    mismatches: int
    max_abs_error: float
    max_rel_error: float

    @staticmethod
    def of(tensor: str, found: Array, reference: Array) -> Difference:
        """Compare two arrays of one shape; NaN equals NaN."""
        wide = (found.astype(np.float64), reference.astype(np.float64))
        same = (wide[0] == wide[1]) | (np.isnan(wide[0]) & np.isnan(wide[1]))
        error = np.where(same, 0.0, np.abs(wide[0] - wide[1]))
        worst = float(error.max(initial=0.0))
        scale = float(np.abs(wide[1]).max(initial=0.0))
        relative = 0.0 if worst == 0 else worst / scale if scale else float("inf")
        return Difference(
            tensor, reference.size, reference.dtype.kind in "iu", int(np.count_nonzero(~same)), worst, relative
        )


@dataclass(frozen=True)
class RunResult:
    """A run of a schedule on one witness.

    `outputs` are the network's results; `body` holds the tensors at the end of the integer body (of a float network:
    its results), where witnesses are compared. `seconds` is wall time per part; `details` is what only this
    witness knows (arena bytes, cycles per layer); `profile` is where the time goes, if that was asked for.
    """

    on: str
    schedule: str
    recipe: str | None
    images: int
    outputs: Mapping[str, Array]
    body: Mapping[str, Array]
    differences: tuple[Difference, ...]
    accuracy: float | None
    seconds: Mapping[str, float]
    details: Mapping[str, Any] = field(default_factory=dict[str, Any])
    profile: Profile | None = None

    @property
    def mismatches_vs_reference(self) -> int | None:
        """Integers at the end of the body that differ from the reference; None where the body gives floats only."""
        counted = [d.mismatches for d in self.differences if d.integer]
        return sum(counted) if counted else None

    @property
    def max_abs_error(self) -> float | None:
        """The largest error of a float at the end of the body; None where it gives integers only."""
        return max((d.max_abs_error for d in self.differences if not d.integer), default=None)

    @property
    def max_rel_error(self) -> float | None:
        """The same against the largest magnitude of its tensor."""
        return max((d.max_rel_error for d in self.differences if not d.integer), default=None)

    def to_json(self) -> dict[str, object]:
        """JSON-ready, without the arrays themselves (`hapir run --output` writes them)."""
        return {
            "on": self.on,
            "schedule": self.schedule,
            "recipe": self.recipe,
            "images": self.images,
            "accuracy": self.accuracy,
            "mismatches_vs_reference": self.mismatches_vs_reference,
            "max_abs_error": self.max_abs_error,
            "max_rel_error": self.max_rel_error,
            "outputs": {name: _described(array) for name, array in self.outputs.items()},
            "body": {name: _described(array) for name, array in self.body.items()},
            "seconds": dict(self.seconds),
            **self.details,
            **({} if self.profile is None else {"profile": self.profile.to_json()}),
        }

    def to_text(self) -> str:
        """A few lines for a terminal."""
        with_recipe = f" with recipe {self.recipe}" if self.recipe else " without a recipe"
        lines = [f"{self.schedule}{with_recipe} on {self.on}: {self.images} images"]
        if self.accuracy is not None:
            lines.append(f"accuracy {100 * self.accuracy:.2f} %")
        for difference in self.differences:
            if difference.integer:
                found = f"{difference.mismatches} of {difference.values} integers differ from the reference"
            else:
                found = f"largest error {difference.max_abs_error:.3g} (relative {difference.max_rel_error:.3g})"
            lines.append(f"{difference.tensor}: {found}")
        lines.append("time " + ", ".join(f"{name} {s:.3f} s" for name, s in self.seconds.items()))
        for name, value in self.details.items():
            lines.append(_detail(name, value))
        if self.profile is not None:
            lines.append(f"profile:\n{self.profile.to_text()}")
        for name, array in self.outputs.items():
            lines.append(f"{name}[0] = {np.array2string(array[0], precision=4, threshold=16, max_line_width=100)}")
        return "\n".join(lines)


def _described(array: Array) -> dict[str, object]:
    return {"shape": list(array.shape), "type": str(array.dtype)}


def _detail(name: str, value: object) -> str:
    """A detail in text: a list of like records becomes a table."""
    label = name.replace("_", " ")
    if isinstance(value, list) and value and isinstance(value[0], dict):
        rows = cast("list[dict[str, Any]]", value)
        return f"{label}:\n{table(list(rows[0]), [list(row.values()) for row in rows])}"
    return f"{label} {value}"
