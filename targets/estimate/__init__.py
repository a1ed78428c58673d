"""Estimates: cycles, traffic, energy and area of a scheduled network, from the plan alone."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from hapir.dialects.dataflow import ScheduleOp
from hapir.dialects.machine import MachineOp
from hapir.dialects.nn import NetworkOp
from hapir.targets.estimate.report import EstimateReport, LayerEstimate


def estimate(
    body: NetworkOp,
    weights: Mapping[str, npt.NDArray[np.generic]],
    machine: MachineOp,
    schedule: ScheduleOp,
) -> EstimateReport:
    """What the integer body of a fused network costs on a machine under a schedule.

    Analytic: runs and reads no simulation. Raises HapirError as the schedule does (HAP06xx, HAP07xx).
    """
    from hapir.lowering.schedule.plan import plan_schedule
    from hapir.targets.estimate.weight_stationary import estimate_plans

    return estimate_plans(body.sym_name.data, plan_schedule(body, weights, machine, schedule, "the estimate"))


__all__ = ["EstimateReport", "LayerEstimate", "estimate"]
