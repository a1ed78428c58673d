"""Parameters drawn at random, for networks that are estimated, compiled and compared before they are trained.

Each array depends on the seed, its key and its shape alone, not on the network around it; equal on every machine, since
only exactly rounded operations are used.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass

import numpy as np

from hapir.weights import Array

_ONES, _ZEROS = ("gamma", "variance"), ("beta", "mean", "bias")


@dataclass(frozen=True)
class RandomWeights:
    """Random parameters, the same for the same seed.

    Weights are uniform in +-sqrt(6 / fan_in), where fan_in is the size of all axes but the first, so that rectified
    activations keep their variance (He, Zhang, Ren, Sun, "Delving deep into rectifiers", ICCV 2015, equation 10);
    those of recurrent layers, whose gates are not rectified, in +-sqrt(3 / fan_in). Biases are 0, and batch norms and
    layer norms leave their input as it is: gamma and variance 1, beta and mean 0.

    Example: `weights = random(seed = 1)`
    """

    seed: int = 0

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise ValueError(f"seed must be at least 0, got {self.seed}")

    def array(self, key: str, shape: tuple[int, ...]) -> Array:
        """The f32 parameter of a key `<layer>.<suffix>`; its suffix says how it is drawn."""
        suffix = key.rpartition(".")[2]
        if suffix.startswith(_ONES):
            return np.ones(shape, np.float32)
        if suffix.startswith(_ZEROS):
            return np.zeros(shape, np.float32)
        power = 6.0 if suffix == "weight" else 3.0
        bound = np.float32(math.sqrt(power / max(1, math.prod(shape[1:]))))
        words = np.frombuffer(hashlib.sha256(key.encode()).digest(), "<u4")
        draw = np.random.Generator(np.random.PCG64(np.random.SeedSequence([self.seed, *map(int, words)])))
        return (2 * draw.random(shape, np.float32) - np.float32(1)) * bound
