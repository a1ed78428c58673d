"""The structures of one layer's weights: what they are worth, and which of them go. Plain numpy, no IR.

Source: Parameterised Structured Pruning (Heidelberg thesis, section 6.4, L1328, and section 7.4, L1615). The structure
parameter is trained there and folded into the weights; here the weights alone say what a structure is worth.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hapir.pruners.magnitude import Criterion, Floats, Mask, below, score, smallest


@dataclass(frozen=True)
class Amount:
    """How much goes: a share of the structures, or those that are worth less than a threshold."""

    sparsity: float | None
    threshold: float | None

    def pruned(self, scores: Floats) -> Mask:
        """Which of some structures go; a threshold leaves the best one."""
        if self.threshold is not None:
            return below(scores, self.threshold)
        return smallest(scores, self.sparsity or 0.0)


def pruned_columns(
    w: Floats, groups: int, amount: Amount, criterion: Criterion, draw: np.random.Generator, multiple_of: int = 1
) -> Mask:
    """The (c, r, s) that no filter of a group reads any more: groups x (C/G R S); the same number in each by a share.

    With `multiple_of` the best of those that would go stay until the number left is a multiple: a row more costs a
    systolic array nothing until its rows are full (Heidelberg thesis, section 6.4, L1336).
    """
    matrices = w.reshape(groups, w.shape[0] // groups, -1)
    scores = score(matrices, (1,), criterion, draw)
    pruned = np.stack([amount.pruned(row) for row in scores])
    for row, mask in zip(scores, pruned, strict=True):
        gone = np.flatnonzero(mask)
        more = -(len(mask) - len(gone)) % multiple_of
        order = gone[np.argsort(row[gone], kind="stable")]
        mask[order[max(len(order) - more, 0) :]] = False
    return pruned


def diagonal_blocks(filters: int, channels: int, groups: int, split: int) -> Mask:
    """Filters x C/G, True where both lie in the same of the `split` parts of a filter group.

    `split` divides the filters and the input channels of each group.
    """
    part_of_filter = np.arange(filters) % (filters // groups) // (filters // groups // split)
    return part_of_filter[:, None] == np.arange(channels) // (channels // split)


def halvings(filters: int, channels: int, groups: int, amount: Amount, worth: Floats) -> int:
    """Into how many parts (1, 2, 4, ...) each filter group is split by halving it again and again.

    By a share: as often as at most this share of the kernels goes (s parts leave 1/s). By a threshold: while the blocks
    that the next halving drops are worth less per kernel, on average. `worth` holds one number per filter and channel.
    """
    split, kept = 1, np.ones_like(worth, dtype=np.bool_)
    while filters // groups % (2 * split) == 0 and channels % (2 * split) == 0:
        blocks = diagonal_blocks(filters, channels, groups, 2 * split)
        if amount.threshold is not None:
            fits = float(worth[kept & ~blocks].mean()) < amount.threshold
        else:
            fits = 1 - 1 / (2 * split) <= (amount.sparsity or 0.0) + 1e-9
        if not fits:
            break
        split, kept = 2 * split, blocks
    return split
