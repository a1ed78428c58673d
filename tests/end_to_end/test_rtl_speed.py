"""How fast the accelerator is on the layer that generators are compared by: 3x3, 16 -> 16 channels, 16 x 16 map."""

from __future__ import annotations

import numpy as np

from hapir.dialects.num import Rounding
from hapir.reference.interpret import run_network
from hapir.targets.verilog.emit import emit_verilog, simulate
from tests.property.rtl_designs import DesignDraw, LayerDraw, build_design


def test_convolution_of_sixteen_channels_on_64_units():
    """9216 cycles would be ideal; everything included, the outside memory too, it may take 11 000."""
    layer = LayerDraw(16, (3, 3), (1, 1), (1, 1, 1, 1), (1, 1), 0, 0, True)
    design = build_design(
        DesignDraw(8, 8, 64, 20, 8, 256, False, (8, 8, 16), False, Rounding.half_up, 16, 16, 16, (layer,), seed=3)
    )
    artefact = emit_verilog(design.body, design.weights, design.machine, design.schedule)
    simulation = simulate(artefact)
    x = design.inputs(1)
    np.testing.assert_array_equal(
        simulation.run({"x": x})["y"], run_network(design.body, design.weights, {"x": x})["y"]
    )
    assert 9216 < simulation.runs[0].cycles <= 11_000
    assert artefact.accelerator.plans[0].ideal_cycles == 9216
    assert len(artefact.verilog.splitlines()) < 3000
