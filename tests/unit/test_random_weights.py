"""Random parameters: the same for the same seed and key, and of the size that keeps activations alive."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from hapir.random_weights import RandomWeights

SHAPE = (64, 32, 3, 3)


def test_seed_and_key_decide():
    one = RandomWeights(seed=1)
    weight = one.array("layer1.conv1.weight", SHAPE)
    assert weight.dtype == np.float32
    assert weight.shape == SHAPE
    assert np.array_equal(weight, RandomWeights(seed=1).array("layer1.conv1.weight", SHAPE))
    assert not np.array_equal(weight, one.array("layer1.conv2.weight", SHAPE))
    assert not np.array_equal(weight, RandomWeights(seed=2).array("layer1.conv1.weight", SHAPE))


def test_the_values_never_change():
    """What was measured with a seed can be measured again, on any machine and with any later version."""
    found = RandomWeights(seed=7).array("c1.weight", (4, 3, 3, 3))
    digest = hashlib.sha256(found.tobytes()).hexdigest()
    assert digest[:16] == "11ad2a40eb9cfb32"


def test_weights_are_uniform_with_the_variance_of_he():
    fan_in = 32 * 3 * 3
    weight = RandomWeights().array("c1.weight", SHAPE)
    bound = np.sqrt(6 / fan_in)
    assert 0.99 * bound < np.abs(weight).max() <= np.float32(bound)
    assert weight.var() == pytest.approx(2 / fan_in, rel=0.02)
    assert abs(weight.mean()) < 4 * np.sqrt(2 / fan_in / weight.size)


def test_recurrent_weights_are_smaller():
    weight = RandomWeights().array("l.weight_hidden", (400, 100))
    assert weight.var() == pytest.approx(1 / 100, rel=0.03)


@pytest.mark.parametrize("suffix", ["gamma", "variance", "beta", "mean", "bias", "bias_input", "bias_hidden"])
def test_what_is_not_drawn(suffix: str):
    value = 1 if suffix in ("gamma", "variance") else 0
    assert np.array_equal(RandomWeights(3).array(f"b.{suffix}", (5,)), np.full(5, value, np.float32))


def test_a_negative_seed():
    with pytest.raises(ValueError, match="seed must be at least 0, got -1"):
        RandomWeights(-1)
