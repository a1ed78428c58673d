"""Networks that move data as `.hap` text: the statements of each are read back to the same ops."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings

from hapir.dialects import nn
from hapir.dialects.num import AffineType
from hapir.importers.text import network_text
from tests.property.moving_networks import ELEMENTS, Moving, moving_networks

PLAIN = tuple(element for element in ELEMENTS if not isinstance(element, AffineType))
"""What an input may be in a spec."""


@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(moving_networks(PLAIN))
def test_statements_are_read_back(moving: Moving) -> None:
    network, _, _ = moving
    written = network_text(network)  # which compares what it reads back
    named = {op.layer_name for op in network.walk() if isinstance(op, nn.LayerOp)}
    assert all(f"{name} = " in written.text for name in named)
