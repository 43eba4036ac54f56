"""Forecasts on the grid of real prices, so that nothing counted hangs on a last bit.

Prices of the exchange have two decimals, and many are exactly the floor or the cap. A quantile
comes out of trees, regressions and interpolations, whose last bits differ from processor to
processor: one that means the cap is the cap on one machine and ``cap - 1e-12`` on another, and
``y <= q`` is then true on one of them only. So whatever makes a forecast brings it to the grid,
prices by ``on_price_tick`` and chances by ``on_chance_step``, and every count, score, rank and
draw sees the same numbers. Realised prices are left as they are.

The rule: the nearest point of the grid, half a step going up. Data make half steps often, a
median of two prices or the mean of four quarters of an hour, so what lies within ``SLACK`` steps
below a half counts as one: the edges of the rule lie where no average of a few prices does.
What the rule cannot do is to mend a difference that is real: forecasts apart by more than
``SLACK`` steps may go to neighbouring points.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

TICKS_PER_RS = 100
"""Grid of prices: Rs 0.01/MWh."""
STEPS_PER_CHANCE = 1_000_000
SLACK = 1e-4
"""Of a step: a price within Rs 1e-6/MWh below a half tick goes up with it."""
TIE = 1e-9
"""Of a score: two that differ by less are equal, and the one named first is taken."""


def on_price_tick(values: np.ndarray | float) -> np.ndarray:
    """Prices [Rs/MWh], any shape, on the tick of Rs 0.01/MWh; NaN stays.

    Each is the double nearest to its two decimals, the same as a price read from a file.
    """
    return _on_grid(values, TICKS_PER_RS)


def on_chance_step(values: np.ndarray | float) -> np.ndarray:
    """Chances, any shape, in millionths; NaN stays."""
    return _on_grid(values, STEPS_PER_CHANCE)


def without_dust(values: np.ndarray) -> np.ndarray:
    """Means of prices without their binary dust, to Rs 1e-6/MWh: those of equal prices agree."""
    return np.round(values, 6)


def first_least(values: Sequence[float]) -> int:
    """Place of the least value; of those equal to it within ``TIE`` of its size, the first."""
    given = np.asarray(values, dtype=float)
    least = np.nanmin(given)
    return int(np.argmax(given <= least + TIE * max(abs(least), 1.0)))


def _on_grid(values: np.ndarray | float, steps: int) -> np.ndarray:
    # divided, not multiplied by 0.01: only so is the result the decimal's own double
    return np.floor(np.asarray(values, dtype=float) * steps + (0.5 + SLACK)) / steps
