"""Make the weights of this project. They are designed, not trained: filters for edges in four directions.

    python make_weights.py

Writes `weights.safetensors` beside itself; keys are `<layer>.<parameter>` as the spec names its layers. Replace it by
the weights that your own training gives; layouts are K C R S for convolutions and K C for dense layers.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
from safetensors.numpy import save

HORIZONTAL = np.array([[-1, -1, -1], [0, 0, 0], [1, 1, 1]])
RISING = np.array([[-1, -1, 0], [-1, 0, 1], [0, 1, 1]])
DIRECTIONS = 4


def weights() -> dict[str, npt.NDArray[np.float32]]:
    """The parameters by key.

    c1 finds edges of each direction, from dark to light and from light to dark. c2 adds up the edges of one direction
    in a neighbourhood and takes away those of the others. f1 adds up what c2 finds in all places.
    """
    edges = np.stack([HORIZONTAL, HORIZONTAL.T, RISING, RISING[::-1]])
    c1 = np.concatenate([edges, -edges])[:, None]
    own = np.arange(DIRECTIONS)[:, None] == np.arange(2 * DIRECTIONS) % DIRECTIONS
    c2 = np.where(own, 1.0, -0.25)[:, :, None, None] * np.ones((3, 3)) / 16
    f1 = np.repeat(np.eye(DIRECTIONS), 4, axis=1) * 2  # c2 leaves 2 x 2 places
    arrays = {
        "c1.weight": c1,
        "c1.bias": np.zeros(2 * DIRECTIONS),
        "c2.weight": c2,
        "c2.bias": np.zeros(DIRECTIONS),
        "f1.weight": f1,
        "f1.bias": np.zeros(DIRECTIONS),
    }
    return {key: array.astype(np.float32) for key, array in arrays.items()}


def write(folder: Path) -> None:
    """Write the file into a folder."""
    (folder / "weights.safetensors").write_bytes(save(weights()))


if __name__ == "__main__":
    write(Path(__file__).resolve().parent)
