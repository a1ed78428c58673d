"""Train the binarized network of `digits_binary.hap` and write the weights that it reads.

    pip install numpy==2.4.6 safetensors==0.8.0 scikit-learn==1.9.1
    OPENBLAS_NUM_THREADS=1 python spec_examples/digits_binary_train.py     # half a minute on one core

Writes beside itself
    digits_binary.safetensors   the weights, keys `<layer>.<suffix>` as `digits_binary.hap` names its layers
The data, the split and the two files that the spec calibrates and tests with are those of `digits_train.py`.

Weights and hidden activations are signs, as in M. Courbariaux, I. Hubara, D. Soudry, R. El-Yaniv and Y. Bengio,
"Binarized Neural Networks", 2016, arXiv:1602.02830: each weight has a real shadow in -1..1, the forward pass takes its
sign, and the gradient of a sign passes straight through where its argument lies in -1..1. Batch norm follows every
layer. The file holds the signs, not the shadows, so that the network computes what was trained.

The committed file was made by the versions above under Python 3.11 on x86-64 Linux, where the script gives the same
bytes at every run. The constants were chosen on 257 images held out of the training images, never on the test images.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
from safetensors.numpy import save
from sklearn.datasets import load_digits

HERE = Path(__file__).resolve().parent
SEED = 1
TEST_IMAGES = 540
WIDTHS = (64, 192, 96, 10)
EPOCHS, BATCH, RATE, EPSILON = 300, 64, 5e-3, 1e-5

Array = npt.NDArray[np.float64]


def split(seed: int) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
    """(images, labels) to train on and to test on, as `digits_train.py` draws them; images are N 8 8 in 0..1."""
    data = load_digits()
    images = data.images / 16
    order = np.random.default_rng(seed).permutation(len(images))
    test, train = order[:TEST_IMAGES], order[TEST_IMAGES:]
    return (images[train], data.target[train]), (images[test], data.target[test])


def signs(x: Array) -> Array:
    """1 where x >= 0, else -1."""
    return np.where(x >= 0, 1.0, -1.0)


@dataclass
class Layer:
    """A dense layer of signs and its batch norm; `used` holds what the last forward pass needs again."""

    shadow: Array
    gamma: Array
    beta: Array
    mean: Array
    variance: Array
    used: tuple[Array, Array, Array] = field(default_factory=lambda: (np.zeros(0), np.zeros(0), np.zeros(0)))

    def forward(self, x: Array) -> Array:
        """Normalized sums N x K of a batch N x C, by the batch's own mean and variance."""
        total = x @ signs(self.shadow).T
        mean, variance = total.mean(axis=0), total.var(axis=0)
        self.mean += 0.1 * (mean - self.mean)
        self.variance += 0.1 * (variance * len(x) / (len(x) - 1) - self.variance)
        deviation = np.sqrt(variance + EPSILON)
        normal = (total - mean) / deviation
        self.used = (x, normal, deviation)
        return normal * self.gamma + self.beta

    def backward(self, gradient: Array) -> tuple[Array, tuple[Array, Array, Array]]:
        """The gradient of the input, and those of shadow, gamma and beta."""
        x, normal, deviation = self.used
        inner = gradient * self.gamma
        inner = (inner - inner.mean(axis=0) - normal * (inner * normal).mean(axis=0)) / deviation
        shadow = inner.T @ x * (np.abs(self.shadow) <= 1)
        return inner @ signs(self.shadow), (shadow, (gradient * normal).sum(axis=0), gradient.sum(axis=0))

    def infer(self, x: Array) -> Array:
        """Normalized sums by the mean and variance seen in training."""
        total = x @ signs(self.shadow).T
        return (total - self.mean) / np.sqrt(self.variance + EPSILON) * self.gamma + self.beta


@dataclass
class Adam:
    """The moments of one parameter (D. P. Kingma and J. Ba, ICLR 2015, algorithm 1)."""

    first: Array
    second: Array
    steps: int = 0

    def step(self, gradient: Array, rate: float) -> Array:
        """What to subtract from the parameter."""
        self.steps += 1
        self.first += 0.1 * (gradient - self.first)
        self.second += 0.001 * (gradient**2 - self.second)
        first, second = self.first / (1 - 0.9**self.steps), self.second / (1 - 0.999**self.steps)
        return rate * first / (np.sqrt(second) + 1e-8)


def logits_of(layers: list[Layer], images: Array) -> Array:
    """The last sums N x 10 of images N 8 8, as the network infers them."""
    x = images.reshape(len(images), -1)
    for layer in layers[:-1]:
        x = signs(layer.infer(x))
    return layers[-1].infer(x)


def shifted(images: Array, rng: np.random.Generator) -> Array:
    """Each image moved by -1, 0 or 1 pixel in both directions; the border comes in as paper."""
    padded = np.pad(images, ((0, 0), (1, 1), (1, 1)))
    moves = rng.integers(0, 3, (len(images), 2)).tolist()
    return np.stack([image[r : r + 8, c : c + 8] for image, (r, c) in zip(padded, moves, strict=True)])


def train(images: Array, labels: Array, seed: int) -> list[Layer]:
    """The layers of a network trained on the images."""
    rng = np.random.default_rng(seed)
    layers = [
        Layer(rng.uniform(-1, 1, (k, c)) / np.sqrt(c), np.ones(k), np.zeros(k), np.zeros(k), np.ones(k))
        for c, k in pairwise(WIDTHS)
    ]
    adams = [[Adam(np.zeros_like(p), np.zeros_like(p)) for p in (a.shadow, a.gamma, a.beta)] for a in layers]
    for epoch in range(EPOCHS):
        rate = RATE * (1 + np.cos(np.pi * epoch / EPOCHS)) / 2
        order = rng.permutation(len(images))
        for start in range(0, len(images) - BATCH + 1, BATCH):
            batch = order[start : start + BATCH]
            x, sums = shifted(images[batch], rng).reshape(BATCH, -1), list[Array]()
            for layer in layers:
                sums.append(layer.forward(x))
                x = signs(sums[-1])
            scaled = sums[-1] - sums[-1].max(axis=1, keepdims=True)
            gradient = np.exp(scaled) / np.exp(scaled).sum(axis=1, keepdims=True)
            gradient[np.arange(BATCH), labels[batch]] -= 1
            gradient /= BATCH
            for i in reversed(range(len(layers))):
                before, own = layers[i].backward(gradient)
                for name, adam, g in zip(("shadow", "gamma", "beta"), adams[i], own, strict=True):
                    parameter = getattr(layers[i], name)
                    parameter -= adam.step(g, rate)
                np.clip(layers[i].shadow, -1, 1, out=layers[i].shadow)
                if i:
                    gradient = before * (np.abs(sums[i - 1]) <= 1)
    return layers


def weights_of(layers: list[Layer]) -> dict[str, npt.NDArray[np.float32]]:
    """The parameters under hapir's names, f32."""
    arrays: dict[str, npt.NDArray[np.float32]] = {}
    for i, layer in enumerate(layers, 1):
        arrays[f"f{i}.weight"] = signs(layer.shadow).astype(np.float32)
        for name in ("gamma", "beta", "mean", "variance"):
            arrays[f"n{i}.{name}"] = getattr(layer, name).astype(np.float32)
    return dict(sorted(arrays.items()))


def main() -> None:
    """Train, write the weights and print the accuracy on the test images."""
    (images, labels), (test_images, test_labels) = split(SEED)
    layers = train(images, labels, SEED)
    (HERE / "digits_binary.safetensors").write_bytes(save(weights_of(layers)))
    right = int((logits_of(layers, test_images).argmax(axis=1) == test_labels).sum())
    print(f"{right} of {len(test_labels)} test images right: {right / len(test_labels):.2%}")


if __name__ == "__main__":
    main()
