"""Make the images of this project: stripes in four directions, with noise. Run it again after a change.

    python make_data.py

Writes beside itself
    calibration.npz   64 images with labels: `quantize` learns the ranges of activations from them
    test.npz          256 other images with labels
Images are `image` f32 [N, 1, 8, 8] in 0..1. Labels are `label` int64 [N]: 0 horizontal, 1 vertical, 2 rising,
3 falling.
Replace both files by data of your own to start something real.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

SIZE, PERIOD, CLASSES = 8, 4, 4
CALIBRATION_IMAGES, TEST_IMAGES = 64, 256
NOISE = 6
"""The most that noise adds to or takes from a pixel, of 16."""


def stripes(direction: int, phase: int) -> npt.NDArray[np.int64]:
    """A clean pattern of zeros and ones, SIZE x SIZE: stripes two pixels wide."""
    row, column = np.mgrid[0:SIZE, 0:SIZE]
    line = (row, column, row + column, row - column)[direction]
    return ((line + phase) % PERIOD < PERIOD // 2).astype(np.int64)


def images(count: int, seed: int) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """So many noisy images of all classes in turn, and their labels.

    Pixels are sixteenths, so every computer gives the same bytes.
    """
    draw = np.random.RandomState(seed)  # its numbers are the same in every version of numpy
    labels = np.arange(count, dtype=np.int64) % CLASSES
    phases = draw.randint(0, PERIOD, count)
    contrasts = draw.randint(6, 11, count)
    noise = draw.randint(-NOISE, NOISE + 1, (count, SIZE, SIZE))
    clean = np.stack([stripes(int(k), int(p)) for k, p in zip(labels, phases, strict=True)])
    pixels = np.clip(3 + clean * contrasts[:, None, None] + noise, 0, 16)
    return (pixels / 16).astype(np.float32)[:, None], labels


def write(folder: Path) -> None:
    """Write both files into a folder."""
    for name, count, seed in (("calibration", CALIBRATION_IMAGES, 1), ("test", TEST_IMAGES, 2)):
        image, label = images(count, seed)
        np.savez(folder / f"{name}.npz", image=image, label=label)


if __name__ == "__main__":
    write(Path(__file__).resolve().parent)
