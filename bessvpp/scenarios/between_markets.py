"""How strongly the RTM follows a surprise of the DAM, set right on past days.

A correlation of normal scores says how ranks go together. What a plan lives on is how *prices* go
together, and between the two stand skewed marginals, atoms, and surprises that are large in both
markets at once: on real days the fan's surprises correlated by .3 where the days' did by .5, with
the scores' correlation right. So one number moves the cross block as a whole until the fan's
surprises, pooled over past days and blocks, correlate as the days' own. The blocks within each
market, and every marginal, stay.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import factorial

import numpy as np
from numpy.polynomial.hermite_e import hermegauss, hermevander
from scipy.optimize import brentq
from scipy.special import ndtr

STRONGEST = 0.95
"""Share of the way to markets that move as one, at most: beyond it draws would be degenerate."""
_DEGREE, _NODES = 12, 60


def with_cross_strength(correlation: np.ndarray, strength: float) -> np.ndarray:
    """The same within each market, the two following each other more or less closely.

    Above 0, a share of the way from the cross block ``B`` to ``A^(1/2) C^(1/2)``, markets whose
    independent roots are one and the same; below 0, ``B`` is shrunk. Both ends are correlations
    with the blocks ``A`` and ``C`` on the diagonal, so all between are.

    Parameters
    ----------
    correlation : (2T, 2T), DAM first
    strength : from -1, no connection, to 1
    """
    n = len(correlation) // 2
    dam, cross, rtm = correlation[:n, :n], correlation[:n, n:], correlation[n:, n:]
    moved = (1 - abs(strength)) * cross + max(strength, 0.0) * _root(dam) @ _root(rtm)
    return np.block([[dam, moved], [moved.T, rtm]])


def _root(matrix: np.ndarray) -> np.ndarray:
    """Symmetric square root of a positive semi-definite matrix."""
    values, vectors = np.linalg.eigh(matrix)
    return (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T


def hermite_coefficients(probability: np.ndarray, price: np.ndarray) -> np.ndarray:
    """(..., K) of prices as functions of a normal score, in orthonormal Hermite polynomials.

    ``E[g(x) h(y)] - E[g] E[h] = sum_k a_k b_k rho^k`` for standard normal x and y of correlation
    rho (Mehler, 1866): the covariance of two prices under a Gaussian copula, in closed form.

    Parameters
    ----------
    probability, price : (..., K') knots of the marginals, as of ``with_atom_knots``
    """
    nodes, weights = hermegauss(_NODES)
    size = np.sqrt([float(factorial(k)) for k in range(_DEGREE + 1)])
    basis = hermevander(nodes, _DEGREE) / size * (weights / weights.sum())[:, None]
    uniform, rows = ndtr(nodes), price.reshape(-1, price.shape[-1])
    at = probability.reshape(rows.shape)
    values = np.array([np.interp(uniform, *of) for of in zip(at, rows, strict=True)])
    return (values @ basis)[:, 1:].reshape(*price.shape[:-1], _DEGREE)


def moments(probability: np.ndarray, price: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(...) mean and variance of marginals that are linear between their knots (..., K)."""
    chance, low, high = np.diff(probability, axis=-1), price[..., :-1], price[..., 1:]
    mean = (chance * (low + high) / 2).sum(axis=-1)
    square = (chance * (low**2 + low * high + high**2) / 3).sum(axis=-1)
    return mean, square - mean**2


def cross_strength(
    correlation: np.ndarray,
    knots: Sequence[tuple[np.ndarray, np.ndarray]],
    prices: Sequence[np.ndarray],
) -> float:
    """Strength with which the fan's surprises of the two markets correlate as the days' did.

    A surprise is a price less the fan's mean. Both correlations pool all blocks and days: the sum
    of the products of both markets' surprises, over the root of the product of their squares.

    Parameters
    ----------
    correlation : (2T, 2T) of the scores, DAM first
    knots : of DAM and of RTM, probabilities and prices (D, T, K) of past days' marginals
    prices : of DAM and RTM (D, T), what came
    """
    a, b = (hermite_coefficients(*of) for of in knots)
    (mean_d, var_d), (mean_r, var_r) = (moments(*of) for of in knots)
    dam, rtm = prices[0] - mean_d, prices[1] - mean_r
    size = np.sqrt((dam**2).mean() * (rtm**2).mean())
    fan_size = np.sqrt(var_d.mean() * var_r.mean())
    if size == 0 or fan_size == 0:
        return 0.0
    observed, n = (dam * rtm).mean() / size, len(correlation) // 2
    product, degree = (a * b).mean(axis=0), np.arange(1, _DEGREE + 1)

    def excess(strength: float) -> float:
        rho = np.diag(with_cross_strength(correlation, strength)[:n, n:])
        return float((product * rho[:, None] ** degree).sum(axis=1).mean() / fan_size - observed)

    if excess(-1.0) >= 0:
        return -1.0
    return (
        STRONGEST if excess(STRONGEST) <= 0 else float(brentq(excess, -1.0, STRONGEST, xtol=1e-6))
    )
