"""One-to-one pairs with the greatest total value: Bertsekas' auction.

Each on the left bids for what it values most at the present prices, by as much as it is worth more than the second
best; who is outbid bids again. Nobody is forced: to stay alone is worth 0. The total is within ``STEP`` times the
number of pairs of the best (Bertsekas, The auction algorithm, 1988), in time about linear in the options.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["STEP", "assign"]

STEP: Final = 0.005
"""The least by which a bid raises a price."""


def assign(options: Mapping[int, Sequence[tuple[int, float]]]) -> dict[int, int]:
    """Pair lefts with rights.

    Parameters
    ----------
    options
        For each left, the rights that it may get, and the value of that, above 0.

    Returns
    -------
    dict
        The right of each left that got one; of equal options, the first named.
    """
    prices: dict[int, float] = {}
    owners: dict[int, int] = {}
    waiting = sorted(options, reverse=True)
    while waiting:
        left = waiting.pop()
        best, best_value, second = -1, 0.0, 0.0
        for right, value in options[left]:
            gain = value - prices.get(right, 0.0)
            if gain > best_value:
                best, best_value, second = right, gain, best_value
            elif gain > second:
                second = gain
        if best < 0:
            continue  # alone is worth more
        prices[best] = prices.get(best, 0.0) + best_value - second + STEP
        if best in owners:
            waiting.append(owners[best])
        owners[best] = left
    return {left: right for right, left in sorted(owners.items())}
