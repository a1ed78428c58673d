"""The meaning of every op in numpy: the oracle that all targets are compared with.

One file per dialect or part of one says what its ops compute (`nn`, `nn_elementwise`, `nn_layout`, `nn_recurrent`,
`nn_resize`, `num`, `dataflow`), as plain functions over arrays plus a table from op class to function; `run_network`
runs a network by these tables. Nothing here knows a pass or a target.

Integers are exact: accumulations are computed in a type that provably holds them, and a value that leaves si32 raises
`OverflowError`. Floats are f32 throughout; sums of products are accumulated in f32 by BLAS, in an order that depends on
the shapes and the library, so two f32 witnesses agree within a tolerance and not bit for bit.
"""

from hapir.reference.interpret import run_network

__all__ = ["run_network"]
