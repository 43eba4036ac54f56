"""Price paths of a day or a window, with their weights."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class PriceScenarios:
    """Joint price paths: S scenarios of T blocks.

    Examples
    --------
    >>> dam = np.array([[2000.0, 9000.0], [3000.0, 5000.0]])
    >>> fan = bv.PriceScenarios(dam, rtm=dam - 100, weights=np.array([0.25, 0.75]))
    >>> fan.weights @ fan.dam
    array([2750., 6000.])
    """

    dam: np.ndarray  # (S, T) Rs/MWh
    rtm: np.ndarray  # (S, T) Rs/MWh; NaN: no RTM trade possible in that block
    weights: np.ndarray  # (S,) sum to 1

    def __post_init__(self) -> None:
        if self.dam.shape != self.rtm.shape or self.weights.shape != self.dam.shape[:1]:
            raise ValueError("scenarios need dam (S, T), rtm (S, T) and weights (S,)")
        if not np.isfinite(self.dam).all():
            raise ValueError("a scenario has a DAM price that is no number")
        if (self.weights < 0).any() or abs(self.weights.sum() - 1) > 1e-6:
            raise ValueError(f"weights of scenarios must sum to 1, not {self.weights.sum():g}")

    @classmethod
    def single(cls, dam: np.ndarray, rtm: np.ndarray) -> PriceScenarios:
        """One sure path, (T,) each."""
        return cls(dam[None], rtm[None], np.ones(1))

    @property
    def mean(self) -> PriceScenarios:
        """The expected path as one that is sure."""
        return PriceScenarios.single(self.weights @ self.dam, self.weights @ self.rtm)
