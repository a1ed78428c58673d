"""Codes of what the data of a network may not say."""

from __future__ import annotations

from hapir.codes.code import Code

NETWORKS: dict[str, Code] = {
    "HAP0940": Code(
        "index outside the axis",
        "`gather` takes elements of an axis by their indices: 0 is the first, -1 the last. An index past either end "
        "names no element. Look at the array of the indices, and at `axis`.",
        "g = gather(x, order, axis = 1)    // with 4 channels in x, and 4 among the indices",
    ),
}
