"""Joint fans of the embedded market against paths of the generator itself.

Two years of hourly prices of a seed that played no part in development; the copula's fans of
the last days of the second year are set beside the truth (paths from the state at the gate),
the same marginals drawn independently, and persistence.

    python benchmarks/fans.py [SEED]

Writes ``outputs/bench/fans.json``.
"""

from __future__ import annotations

import sys

import numpy as np
import pandas as pd
from _cases import judged, report
from _truth import Case, true_paths

from bessvpp import fan_quality, forecast
from bessvpp.features import gate_time
from bessvpp.params import load_params
from bessvpp.problem import PriceScenarios
from bessvpp.recalibration import choose_method, recalibrate
from bessvpp.scenarios import copula_correlation, draw_fan

SEED, TEST_DAYS, CALIBRATION_DAYS, N_SCENARIOS = 406, 90, 300, 200


def main() -> None:
    seed = int(sys.argv[1]) if len(sys.argv) > 1 else SEED
    params = load_params(n_scenarios=N_SCENARIOS)
    case = Case.of(params, seed, TEST_DAYS, CALIBRATION_DAYS)
    rules, settings, market, splits = case.rules, case.settings, case.market, case.splits
    original, recalibrated = {}, {}
    for name in forecast.MARKETS:
        original[name] = case.original(name)
        method, _ = choose_method(original[name], market, settings, rules)
        made = recalibrate(original[name], market, splits.test, [method], settings, rules)
        recalibrated[name] = made[method].forecast
    gates = [market.known_at(gate_time(day, rules.dam_gate), rules) for day in splits.test]
    correlation = copula_correlation(original, gates[0], rules, params.scenarios)
    copula = draw_fan(recalibrated, correlation, market, splits.test, rules, params.scenarios)
    alike = params.scenarios.model_copy(update={"dependence": "similar_days"})
    similar = draw_fan(recalibrated, correlation, market, splits.test, rules, alike)
    truth = [
        PriceScenarios(*true_paths(rules, day, N_SCENARIOS), copula[0].weights)
        for day in splits.test
    ]
    rng = np.random.default_rng(0)
    cap = rules.cap_rs_per_mwh(splits.test[-1].item())
    fans = {
        "truth": truth,
        "truth, independent": [fan_quality.independent(day, rng) for day in truth],
        "copula": copula,
        "copula, independent": [fan_quality.independent(day, rng) for day in copula],
        "similar days": similar,
        "persistence": [fan_quality.persistence(known, cap, 0.0) for known in gates],
    }
    outcome = fan_quality.outcomes(market, splits.test)
    scores = {name: fan_quality.path_scores(fan, outcome).mean() for name, fan in fans.items()}
    table = pd.DataFrame(scores).T
    shape = fan_quality.shape_table(fans, outcome, cap)
    print(shape.round(3).to_string(), "\n")
    spread = shape["copula"] / shape["truth"] - 1
    ratios = {
        name: float(table.loc[name, "variogram"] / table.loc[f"{name}, independent", "variogram"])
        for name in ("copula", "truth")
    }
    targets = {
        f"{title}, copula against truth": judged(abs(float(spread[title])), 0.05)
        for title in list(fan_quality.SHAPE_TITLES.values())[:3]
    }
    targets["variogram of the copula over independent"] = judged(ratios["copula"], 0.85)
    targets["the same for the truth, the least possible"] = f"{ratios['truth']:.3f}"
    cases = table.rename_axis("fan").reset_index().to_dict(orient="records")
    report("fans", cases, targets)


if __name__ == "__main__":
    main()
