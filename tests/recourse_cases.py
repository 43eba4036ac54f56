"""Batteries, schedules and paths that the tests of recourse share."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from small_cases import REAL_UNIT, TAPER, day_shape, make_params, make_problem, price_scenarios

from bessvpp.optimizer.dispatch import plan_day
from bessvpp.optimizer.energy_value import energy_values
from bessvpp.risk import Risk

CASES = {
    "hard": (make_params(), 24),
    "quarter hours": (make_params(), 96),
    "free": (make_params(terminal="free"), 24),
    "value": (make_params(terminal="value"), 24),
    "off-DAM penalty": (make_params(off_dam_penalty_rs_per_mwh=210.0), 24),
    "losses": (make_params({"self_discharge_per_hour": 0.001, "aux_mw": 0.6}), 24),
    "losses valued": (
        make_params({"self_discharge_per_hour": 0.001, "aux_mw": 0.6}, terminal="value"),
        96,
    ),
    "outages": (
        make_params(
            {
                "outages": [
                    {"start": "2024-03-05 18:00", "end": "2024-03-05 20:00"},
                    {"start": "2024-03-05 09:40", "end": "2024-03-05 15:00", "power_share": 0.4},
                ]
            }
        ),
        24,
    ),
    "a price on the warranty": (
        make_params({"warranty_price_rs_per_mwh": 900.0}, terminal="value"),
        24,
    ),
    "taper": (make_params(TAPER), 24),
    "taper valued": (make_params(TAPER, terminal="value"), 24),
    "all that a battery has": (make_params(REAL_UNIT, terminal="value"), 96),
    "windows": (
        make_params(
            {
                "charge_windows": [{"start": "01:00", "end": "15:00"}],
                "discharge_windows": [{"start": "06:00", "end": "23:00"}],
            }
        ),
        24,
    ),
}


def a_case(params, n_blocks):
    """A problem, a commitment to it, and a fan of five paths."""
    problem = make_problem(params, n_blocks)
    if problem.terminal == "value":
        problem = replace(problem, energy_values=energy_values(problem, day_shape(n_blocks)))
    plan = plan_day(problem, price_scenarios(4, n_blocks, seed=9), Risk(0.1, 0.25))
    return problem, plan.unit_dam_mw, price_scenarios(5, n_blocks, seed=3)


def worth(problem, done) -> np.ndarray:
    """Profit and V of what is left, less the price on what was discharged [Rs]."""
    e_end = np.atleast_2d(done.e_end_mwh)
    price = np.array([unit.warranty_price_rs_per_mwh or 0.0 for unit in problem.bess.units])
    steered = problem.block_hours * (done.discharge_mw.sum(axis=-1) @ price)
    values = [v(e_end[:, i]) for i, v in enumerate(problem.energy_values)]
    return np.atleast_1d(done.ledger.net_rs - steered) + sum(values)


def gate_errors(market, spread_rs: float = 600.0, seed: int = 4) -> np.ndarray:
    """(D, G, T) what hourly gates expect: the outcome, blurred alike at all gates of a day."""
    rng = np.random.default_rng(seed)
    blur = rng.normal(0, spread_rs, market.rtm_mcp.shape)
    return np.repeat((market.rtm_mcp + blur)[:, None], 24, axis=1)
