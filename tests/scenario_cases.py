"""Fans, correlations and draws that tests of the scenarios share."""

from __future__ import annotations

import numpy as np
from small_cases import make_params

from bessvpp.forecasting.quantiles import QuantileForecast
from bessvpp.scenarios.draw import correlated_uniforms, draw_day

LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)
DAY = np.datetime64("2024-05-01")
RULES = make_params().market


def many(n_scenarios: int, seed: int = 7):
    return make_params(n_scenarios=n_scenarios, seed=seed).scenarios


def correlation_of(n: int, phi: float = 0.9) -> np.ndarray:
    """A known correlation that falls with the distance between blocks."""
    place = np.arange(n)
    return phi ** np.abs(place[:, None] - place)


def two_markets(n_blocks: int, cross: float = 0.7) -> np.ndarray:
    one = correlation_of(n_blocks, 0.85)
    return np.block([[one, cross * one], [cross * one, one]])


def a_fan(n_blocks: int = 24) -> tuple[np.ndarray, np.ndarray]:
    """Quantiles of both markets; the last DAM blocks have a quarter of a cap atom or more."""
    centre = 4000 + 100 * np.arange(n_blocks)[:, None]
    dam = centre + np.array([-1500.0, -400.0, 0.0, 600.0, 2500.0])
    rtm = 0.8 * centre + np.array([-2000.0, -700.0, 0.0, 500.0, 1500.0])
    dam[-4:, 3:] = 10_000.0
    dam[-2:, 2:] = 10_000.0
    return np.clip(dam, 0, 10_000), np.clip(rtm, 0, 10_000)


def draw(correlation, dam, rtm, params, rules=RULES, chances=None):
    """A day drawn by the copula."""
    uniforms = correlated_uniforms(correlation, params.n_scenarios, params.seed, DAY)
    forecasts = {}
    for name, values in (("dam", dam), ("rtm", rtm)):
        atoms = (chance[None] for chance in chances[name]) if chances else ()
        dates, split = np.array([DAY]), np.array(["test"])
        forecasts[name] = QuantileForecast(name, dates, split, LEVELS, values[None], *atoms)
    return draw_day(uniforms, forecasts, rules)
