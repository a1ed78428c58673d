"""Parameters drawn at random, for networks that are estimated, compiled and compared before they are trained.

Each array depends on the seed, its key and its shape alone, not on the network around it; equal on every machine, since
only exactly rounded operations are used.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass

import numpy as np
from xdsl.dialects.builtin import Float32Type, f32
from xdsl.ir import Attribute

from hapir.dialects.num import code_range, dtype_of, step_of
from hapir.weights import Array

_ONES, _ZEROS = ("gamma", "variance"), ("beta", "mean", "bias")
_FACTORS = {"scale": 2.0**-7, "ratio": 2.0**-9}


@dataclass(frozen=True)
class RandomWeights:
    """Random parameters, the same for the same seed.

    Weights are uniform in +-sqrt(6 / fan_in), where fan_in is the size of all axes but the first, so that rectified
    activations keep their variance (He, Zhang, Ren, Sun, "Delving deep into rectifiers", ICCV 2015, equation 10);
    those of recurrent layers, whose gates are not rectified, in +-sqrt(3 / fan_in). Biases are 0, and batch norms and
    layer norms leave their input as it is: gamma and variance 1, beta and mean 0. Codes are uniform over their type;
    what scales them is the same for all channels.

    Example: `weights = random(seed = 1)`
    """

    seed: int = 0

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise ValueError(f"seed must be at least 0, got {self.seed}")

    def array(self, key: str, shape: tuple[int, ...], element: Attribute = f32) -> Array:
        """The parameter of a key `<layer>.<suffix>`; its suffix and element type say how it is drawn."""
        suffix = key.rpartition(".")[2]
        if not isinstance(element, Float32Type):
            return self._integers(key, suffix, shape, element)
        if suffix in _FACTORS:
            return np.full(shape, _FACTORS[suffix], np.float32)
        if suffix.startswith(_ONES):
            return np.ones(shape, np.float32)
        if suffix.startswith(_ZEROS):
            return np.zeros(shape, np.float32)
        power = 6.0 if suffix == "weight" else 3.0
        bound = np.float32(math.sqrt(power / max(1, math.prod(shape[1:]))))
        return (2 * self._generator(key).random(shape, np.float32) - np.float32(1)) * bound

    def _integers(self, key: str, suffix: str, shape: tuple[int, ...], element: Attribute) -> Array:
        dtype = dtype_of(element)
        if suffix in ("multiplier", "shift", *_ZEROS):
            return np.full(shape, {"multiplier": 1, "shift": 9}.get(suffix, 0), dtype)
        low, high = code_range(element)
        step = step_of(element)
        steps = self._generator(key).integers(0, (high - low) // step + 1, shape)
        return (low + step * steps).astype(dtype)

    def _generator(self, key: str) -> np.random.Generator:
        words = np.frombuffer(hashlib.sha256(key.encode()).digest(), "<u4")
        return np.random.Generator(np.random.PCG64(np.random.SeedSequence([self.seed, *map(int, words)])))
