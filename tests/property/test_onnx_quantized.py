"""Quantized operators imported from ONNX against onnxruntime: the same codes, all of them, on reference and C."""

from __future__ import annotations

import numpy as np
from hypothesis import HealthCheck, given, settings

from tests.property.quantized_models import Model, convolutions, products

EXACT = settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])


def check(model: Model) -> None:
    expected, found = model.runtime(), model.reference()
    for name, array in expected.items():
        assert found[name].dtype == array.dtype
        np.testing.assert_array_equal(found[name], array)


@EXACT
@given(convolutions())
def test_qlinear_conv(model: Model):
    check(model)


@EXACT
@given(convolutions("ConvInteger"))
def test_conv_integer(model: Model):
    check(model)


@EXACT
@given(products())
def test_qlinear_matmul(model: Model):
    check(model)


@EXACT
@given(products("MatMulInteger"))
def test_matmul_integer(model: Model):
    check(model)
