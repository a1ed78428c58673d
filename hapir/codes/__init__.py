"""The codes of all diagnostics, one file per area: what `hapir explain CODE` prints.

HAP01xx syntax, 02xx names and arguments, 03xx shapes, types and units, 04xx weights and data, 05xx passes, 06xx machine
and mapping, 07xx targets, 08xx tools and environment, 09xx models of other tools. A code never changes its meaning; one
that is no longer given stays unused. A test checks that every code that the sources give is explained here.
"""

from hapir.codes.backends import BACKENDS
from hapir.codes.code import Code
from hapir.codes.data import DATA
from hapir.codes.exports import EXPORTS
from hapir.codes.factors import FACTORS
from hapir.codes.import_text import IMPORT_TEXT
from hapir.codes.imports import IMPORTS
from hapir.codes.language import LANGUAGE
from hapir.codes.machines import MACHINES
from hapir.codes.networks import NETWORKS
from hapir.codes.onnx import ONNX
from hapir.codes.opt import OPT
from hapir.codes.passes import PASSES
from hapir.codes.pruners import PRUNERS
from hapir.codes.search import SEARCH
from hapir.codes.targets import TARGETS
from hapir.codes.thresholds import THRESHOLDS
from hapir.codes.tools import TOOLS

__all__ = ["CODES", "Code"]

CODES: dict[str, Code] = {
    **LANGUAGE,
    **DATA,
    **PASSES,
    **THRESHOLDS,
    **FACTORS,
    **PRUNERS,
    **SEARCH,
    **MACHINES,
    **TARGETS,
    **TOOLS,
    **EXPORTS,
    **OPT,
    **BACKENDS,
    **ONNX,
    **NETWORKS,
    **IMPORTS,
    **IMPORT_TEXT,
}
