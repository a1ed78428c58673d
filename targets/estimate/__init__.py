"""Estimates: cycles, traffic, energy and area of a scheduled network, from the plan alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from hapir.dialects.dataflow import ScheduleOp
from hapir.dialects.machine import MachineOp
from hapir.dialects.nn import NetworkOp
from hapir.plugin_failures import at_work
from hapir.registered import DATAFLOW, value_at
from hapir.targets.estimate.report import EstimateReport, LayerEstimate


@runtime_checkable
class Estimating(Protocol):
    """A dataflow that hapir cannot emit but that states, in closed form, what a network costs under it."""

    name: ClassVar[str]

    def estimate(
        self,
        body: NetworkOp,
        weights: Mapping[str, npt.NDArray[np.generic]],
        machine: MachineOp,
        schedule: ScheduleOp,
    ) -> EstimateReport:
        """The report; the arguments are those of `hapir.targets.estimate.estimate`."""
        ...


def estimate(
    body: NetworkOp,
    weights: Mapping[str, npt.NDArray[np.generic]],
    machine: MachineOp,
    schedule: ScheduleOp,
) -> EstimateReport:
    """What the integer body of a fused network costs on a machine under a schedule.

    Analytic: runs and reads no simulation. A dataflow that states its own estimate (`Estimating`) gives a report whose
    basis is `model`. Raises HapirError as the schedule does (HAP06xx, HAP07xx).
    """
    if schedule.dataflow.data != "weight_stationary":
        dataflow = value_at(schedule.dataflow.data, DATAFLOW, schedule)
        if isinstance(dataflow, Estimating):
            with at_work("dataflows", dataflow.name, schedule):
                return replace(dataflow.estimate(body, weights, machine, schedule), basis="model")
    from hapir.lowering.schedule.plan import plan_schedule
    from hapir.targets.estimate.weight_stationary import estimate_plans

    return estimate_plans(body.sym_name.data, plan_schedule(body, weights, machine, schedule, "the estimate"))


__all__ = ["EstimateReport", "Estimating", "LayerEstimate", "estimate"]
