"""Make the weights of this project. They are designed, not trained: a unit for each pattern that there is.

    python make_weights.py

Writes `weights.safetensors` beside itself; keys are `<layer>.<parameter>` as the spec names its layers. Replace it by
the weights that your own training gives; the layout of a dense layer is K C: outputs, then inputs.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
from safetensors.numpy import save

SIZE, PERIOD, DIRECTIONS = 8, 4, 4
THRESHOLD = 8
"""A pattern counts by what its match exceeds this."""


def weights() -> dict[str, npt.NDArray[np.float32]]:
    """The parameters by key.

    f1 matches the image with the stripes of each direction and place. f2 adds up the matches of a direction.
    """
    row, column = np.mgrid[0:SIZE, 0:SIZE]
    lines = (row, column, row + column, row - column)
    patterns = [np.where((line + place) % PERIOD < PERIOD // 2, 1, -1) for line in lines for place in range(PERIOD)]
    units = len(patterns)
    arrays = {
        "f1.weight": np.stack(patterns).reshape(units, SIZE * SIZE),
        "f1.bias": np.full(units, -THRESHOLD),
        "f2.weight": np.repeat(np.eye(DIRECTIONS), PERIOD, axis=1),
        "f2.bias": np.zeros(DIRECTIONS),
    }
    return {key: array.astype(np.float32) for key, array in arrays.items()}


def write(folder: Path) -> None:
    """Write the file into a folder."""
    (folder / "weights.safetensors").write_bytes(save(weights()))


if __name__ == "__main__":
    write(Path(__file__).resolve().parent)
