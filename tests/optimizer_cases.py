"""Batteries, days and accounts that the tests of the optimizer share."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pulp
import pytest
from small_cases import DAY, REAL_UNIT, SECOND_UNIT, TAPER, UNIT, day_shape, fleet, make_params

from bessvpp import battery, ledger
from bessvpp.optimizer import energy_value
from bessvpp.optimizer.problem import tie_break
from bessvpp.optimizer.statement import TwoStageProgramme
from bessvpp.prices import PriceScenarios
from bessvpp.risk import RISK_NEUTRAL

NARROW = {
    "charge_windows": [{"start": "01:00", "end": "06:00"}, {"start": "10:00", "end": "15:00"}],
    "discharge_windows": [{"start": "06:00", "end": "10:00"}, {"start": "17:00", "end": "23:00"}],
    "max_cycles_per_day": 0.4,
}
LOSING = {"self_discharge_per_hour": 0.004, "aux_mw": 0.6}
CASES = {
    "one unit": (make_params(), 24, {}),
    "quarter hours": (make_params(), 96, {}),
    "two units": (fleet(), 24, {}),
    "two units, quarter hours": (fleet(), 96, {}),
    "windows and cycles": (make_params(NARROW), 96, {}),
    "slow charge": (make_params({"p_charge_max_mw": 17.0}), 96, {}),
    "two units, one of slow charge and one of fast": (
        fleet(
            units=[
                UNIT | {"p_charge_max_mw": 25.0},
                SECOND_UNIT | {"p_charge_max_mw": 45.0},
            ]
        ),
        24,
        {"weighted": True},
    ),
    "start off target": (make_params({"e_start_mwh": 60.0, "e_target_mwh": 130.0}), 24, {}),
    "no trade": (make_params(), 24, {"no_trade": (0, 7, 18, 19)}),
    "weighted": (fleet(), 24, {"weighted": True}),
    "financial": (make_params(commitment="financial"), 24, {"no_trade": (7, 18)}),
    "financial, two units": (fleet(commitment="financial"), 96, {}),
    "free end": (fleet(terminal="free"), 24, {}),
    "valued end": (fleet(terminal="value"), 24, {"weighted": True}),
    "off-DAM penalty": (make_params(off_dam_penalty_rs_per_mwh=210.0), 24, {}),
    "backed": (fleet(unbacked_max_mwh_per_day=15.0, midnight="plan"), 24, {"weighted": True}),
    "losses": (make_params(LOSING), 24, {"weighted": True}),
    "losses, two units": (
        fleet(
            units=[UNIT | LOSING, SECOND_UNIT | {"aux_mw": 1.3}],
            terminal="value",
            aux_rs_per_mwh=6100.0,
        ),
        96,
        {},
    ),
    "outages, two units": (
        fleet(
            units=[
                UNIT | {"outages": [{"start": f"{DAY} 17:20", "end": f"{DAY} 20:00"}]},
                SECOND_UNIT
                | {"outages": [{"start": DAY, "end": f"{DAY} 07:00", "power_share": 0.3}]},
            ],
        ),
        96,
        {},
    ),
    "a price on the warranty": (
        fleet(
            units=[UNIT | {"warranty_price_rs_per_mwh": 900.0}, SECOND_UNIT],
            terminal="value",
        ),
        24,
        {"weighted": True},
    ),
    "taper": (make_params(TAPER), 24, {"weighted": True}),
    "all that a battery has, two units": (
        fleet(units=[REAL_UNIT, SECOND_UNIT], terminal="value", midnight="plan"),
        96,
        {},
    ),
    "hurdles": (
        make_params(hurdle_dam_rs_per_mwh=170.0, hurdle_rtm_rs_per_mwh=90.0, midnight="plan"),
        24,
        {},
    ),
}


def with_values(problem):
    if problem.terminal != "value":
        return problem
    dam = day_shape(problem.blocks_per_day)
    return replace(problem, energy_values=energy_value.energy_values(problem, dam))


def settled(problem, scenarios, plan, **changes):
    """Profits of a plan by the accounts, (S,)."""
    flows = {
        "dam_mw": np.tile(plan.dam_mw, (len(scenarios.weights), 1)),
        "rtm_mw": plan.rtm_mw,
        "charge_mw": plan.charge_mw,
        "discharge_mw": plan.discharge_mw,
        "undelivered_mw": plan.undelivered_mw,
    }
    return ledger.settle(
        problem.bess,
        problem.costs,
        problem.block_hours,
        dam=scenarios.dam,
        rtm=scenarios.rtm,
        **(flows | changes),
    ).net_rs


def tied(problem, scenarios, plan) -> float:
    """What tie-break and prices of warranties take from the objective [Rs]."""
    n_blocks, n_units = plan.dam_mw.size, len(problem.bess.units)

    def taken(side: str, mw: np.ndarray) -> np.ndarray:
        return np.maximum(mw, 0) @ tie_break(side, n_blocks)

    rest = taken("rtm_sale", plan.rtm_mw) + taken("rtm_purchase", -plan.rtm_mw)
    for i in range(n_units):
        rest += plan.charge_mw[:, i] @ tie_break("charge", n_blocks, i)
        price = problem.bess.units[i].warranty_price_rs_per_mwh or 0.0
        rest += plan.discharge_mw[:, i] @ (price + tie_break("discharge", n_blocks, i))
    dam = taken("dam_sale", plan.dam_mw) + taken("dam_purchase", -plan.dam_mw)
    return float(problem.block_hours * (dam + scenarios.weights @ rest))


def strict(problem, plan) -> float:
    """Greatest violation of the DAM schedule's strict path [MWh]."""
    return battery.schedule_violations(
        problem.bess,
        plan.unit_dam_mw,
        problem.schedule_start_mwh,
        problem.block_hours,
        problem.schedule_end_mwh,
        problem.available,
    ).max()


def cheap_day_ahead(n_blocks: int, seed: int = 0) -> PriceScenarios:
    """The RTM is dearer all day, so the programme would buy in the DAM without end."""
    rng = np.random.default_rng(seed)
    dam = 2500 + 200 * rng.normal(size=(4, n_blocks))
    return PriceScenarios(dam, dam + 3000 + 300 * rng.normal(size=dam.shape), np.full(4, 0.25))


BURNING = [
    pytest.param(make_params(), 24, id="one unit"),
    pytest.param(make_params(), 96, id="quarter hours"),
    pytest.param(fleet(), 24, id="two units"),
    pytest.param(fleet(terminal="free"), 96, id="free end"),
    pytest.param(make_params({"p_charge_max_mw": 30.0}), 24, id="slow charge"),
]


def best_directions(problem, scenarios) -> float:
    """Objective of the best plan over all choices of one direction a block (exact, slow)."""
    programme = TwoStageProgramme(problem, scenarios)
    lp, v = programme.lp, programme.v
    lp.setObjective(programme._objective(RISK_NEUTRAL))
    for i, unit in enumerate(problem.bess.units):
        for t in range(programme.n_blocks):
            charging = pulp.LpVariable(f"charging_{i}_{t}", cat=pulp.LpBinary)
            lp.addConstraint(v.schedule_charge[i][t] <= unit.charge_max_mw * charging)
            lp.addConstraint(v.schedule_discharge[i][t] <= unit.p_max_mw * (1 - charging))
    assert lp.solve(pulp.HiGHS(msg=False, threads=1, gapRel=1e-6)) == pulp.LpStatusOptimal
    return pulp.value(lp.objective)
