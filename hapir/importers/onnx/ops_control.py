"""Control flow, which a network does not have: it computes every layer, once, on sizes that are known before."""

from __future__ import annotations

from typing import Never

from hapir.importers.onnx.nodes import Call, Unsupported, handles


@handles("If")
def branch(call: Call) -> Never:
    """One of two graphs."""
    raise Unsupported(
        "control flow: a network has no branches",
        "`Where` on the results of both; or the model exported, or simplified, with the condition decided",
    )


@handles("Loop", "Scan")
def loop(call: Call) -> Never:
    """A graph, again and again."""
    raise Unsupported("control flow: a network has no loops", "LSTM, GRU or RNN; or the loop unrolled when exporting")
