"""Choose one of several options for each part so that the whole costs little and loses little: knapsacks.

Costs are whole numbers (bits, bytes, bit operations), losses are reals that add up. A `Frontier` holds the plans worth
having: going up in cost, each one loses less than all before it. Frontiers are built bottom up, from the options of a
part (`options`), by combining parts (`both`) and by alternatives (`either`), and are exact while there are at most
`MOST_PLANS` of them; past that the cheapest plan stays, and the best one of each of as many equal intervals of cost.
So what fits a budget at all is found. Cost and loss of every plan are always exact.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Costs = npt.NDArray[np.int64]
Losses = npt.NDArray[np.float64]

MOST_PLANS = 1 << 12


@dataclass(frozen=True, eq=False)
class Frontier:
    """Plans in the order of their costs, each with a smaller loss than the one before; `picks` says what plan i is."""

    costs: Costs
    losses: Losses
    picks: Callable[[int], dict[str, int]]

    def __len__(self) -> int:
        return len(self.costs)

    def within(self, budget: float) -> int | None:
        """The plan with the least loss that costs no more than the budget; None where every plan costs more."""
        found = int(np.searchsorted(self.costs, budget, side="right"))
        return found - 1 if found else None


def options(name: str, choices: Mapping[int, tuple[int, float]]) -> Frontier:
    """The plans of one part: its choices by number, each with cost and loss."""
    numbers = list(choices)
    costs = np.array([choices[n][0] for n in numbers], np.int64)
    losses = np.array([choices[n][1] for n in numbers], np.float64)
    kept = _worth_having(costs, losses)
    return Frontier(costs[kept], losses[kept], lambda i: {name: numbers[kept[i]]})


def both(first: Frontier, second: Frontier, budget: float = np.inf) -> Frontier:
    """The plans of two parts together: costs and losses add; what costs more than the budget is left out."""
    costs = (first.costs[:, None] + second.costs[None, :]).ravel()
    losses = (first.losses[:, None] + second.losses[None, :]).ravel()
    affordable = np.flatnonzero(costs <= budget)
    kept = affordable[_worth_having(costs[affordable], losses[affordable])]
    width = len(second)

    def picks(i: int) -> dict[str, int]:
        return {**first.picks(int(kept[i]) // width), **second.picks(int(kept[i]) % width)}

    return Frontier(costs[kept], losses[kept], picks)


def either(name: str, alternatives: Mapping[int, Frontier]) -> Frontier:
    """The plans of a part that is built in one of several ways; the way becomes the choice called `name`."""
    numbers = list(alternatives)
    parts = [alternatives[n] for n in numbers]
    costs, losses = (np.concatenate([getattr(p, side) for p in parts]) for side in ("costs", "losses"))
    which = np.concatenate([np.full(len(p), k) for k, p in enumerate(parts)])
    place = np.concatenate([np.arange(len(p)) for p in parts])
    kept = _worth_having(costs, losses)

    def picks(i: int) -> dict[str, int]:
        k = int(which[kept[i]])
        return {name: numbers[k], **parts[k].picks(int(place[kept[i]]))}

    return Frontier(costs[kept], losses[kept], picks)


def combined(parts: Sequence[Frontier], budget: float = np.inf) -> Frontier:
    """The plans of all parts together."""
    nothing = Frontier(np.zeros(1, np.int64), np.zeros(1), lambda _: {})
    for part in parts:
        nothing = both(nothing, part, budget)
    return nothing


def greedy(parts: Sequence[Frontier], budget: float) -> dict[str, int] | None:
    """One plan within the budget, by steps: from the least loss, the step down that loses least per cost saved.

    None where even the cheapest plan costs more than the budget. Of equal steps the first part's is taken.
    """
    chosen = [len(part) - 1 for part in parts]
    cost = sum(int(part.costs[i]) for part, i in zip(parts, chosen, strict=True))
    while cost > budget:
        best: tuple[float, int, int] | None = None
        for k, (part, i) in enumerate(zip(parts, chosen, strict=True)):
            if i:
                price = (part.losses[:i] - part.losses[i]) / (part.costs[i] - part.costs[:i])
                j = int(price.argmin())
                if best is None or price[j] < best[0]:
                    best = float(price[j]), k, j
        if best is None:
            return None
        _, k, j = best
        cost -= int(parts[k].costs[chosen[k]] - parts[k].costs[j])
        chosen[k] = j
    picks: dict[str, int] = {}
    for part, i in zip(parts, chosen, strict=True):
        picks |= part.picks(i)
    return picks


def _worth_having(costs: Costs, losses: Losses) -> npt.NDArray[np.intp]:
    """The places of the plans that no other one beats, in the order of their costs; of equal plans the first.

    The cheapest plan is one of them even where its loss is infinite.
    """
    order = np.lexsort((losses, costs))
    sorted_losses = losses[order]
    order = np.append(order[:1], order[1:][sorted_losses[1:] < np.minimum.accumulate(sorted_losses)[:-1]])
    if len(order) <= MOST_PLANS:
        return order
    ranks = (costs[order] - costs[order[0]]) / int(costs[order[-1]] - costs[order[0]])
    intervals = np.minimum((ranks * (MOST_PLANS - 1)).astype(np.int64), MOST_PLANS - 2)
    # the last plan of an interval loses least; without the cheapest plan a budget that only it fits would fit nothing
    last = np.append(intervals[1:] != intervals[:-1], True)
    last[0] = True
    return order[last]
