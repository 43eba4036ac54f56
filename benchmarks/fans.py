"""Joint fans of the embedded market against paths of the generator itself.

Two years of hourly prices on five seeds that played no part in development. The copula's fans
of the second year are set beside the truth (paths from the state at the gate), the same
marginals drawn independently, similar past days, and persistence. Standard deviations are judged
by their distance from the truth, averaged over the seeds; the variogram score is the one that
weighs near pairs most, since with equal weights not even the truth gains 5 % over its blocks.

    python benchmarks/fans.py [SEED ...]

Writes ``outputs/bench/fans.json``. Half an hour on two cores; with one seed five minutes.
"""

from __future__ import annotations

import sys

import numpy as np
import pandas as pd
from _cases import judged, report
from _truth import Case, true_paths

from bessvpp.calibration.recalibration import recalibrate
from bessvpp.market import history
from bessvpp.params.load import Params, load_params
from bessvpp.prices import PriceScenarios
from bessvpp.scenarios import quality
from bessvpp.scenarios.copula import copula_correlations
from bessvpp.scenarios.draw import draw_fan
from bessvpp.scenarios.surprises import surprise_table

SEEDS, TEST_DAYS, CALIBRATION_DAYS, N_SCENARIOS = (701, 702, 703, 704, 705), 365, 90, 100
SHAPES = list(quality.SHAPE_TITLES.values())


def study(seed: int, params: Params) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Mean scores, and shape of the days, a row or a column a fan."""
    case = Case.of(params, seed, TEST_DAYS, CALIBRATION_DAYS)
    rules, settings, market, splits = case.rules, case.settings, case.market, case.splits
    original, recalibrated = {}, {}
    for name in history.MARKETS:
        original[name] = case.original(name)
        method = case.method(original[name])
        made = recalibrate(original[name], market, splits.test, [method], settings, rules)
        recalibrated[name] = made[method].forecast
    gates = [market.known_at_dam_gate(day, rules) for day in splits.test]
    each = copula_correlations(original, market, splits.test, rules, params.scenarios)
    alike = params.scenarios.model_copy(update={"dependence": "similar_days"})

    def drawn(marginals: dict, scenarios: object) -> list[PriceScenarios]:
        return draw_fan(marginals, each, market, splits.test, rules, scenarios)

    copula = drawn(recalibrated, params.scenarios)
    truth = [
        PriceScenarios(*true_paths(rules, day, N_SCENARIOS), copula[0].weights)
        for day in splits.test
    ]
    rng = np.random.default_rng(0)
    cap = rules.cap_rs_per_mwh(splits.test[-1].item())
    fans = {
        "truth": truth,
        "truth, independent": [quality.independent(day, rng) for day in truth],
        "copula": copula,
        "copula, independent": [quality.independent(day, rng) for day in copula],
        "copula, original": drawn(original, params.scenarios),
        "similar days": drawn(recalibrated, alike),
        "persistence": [quality.persistence_path(known, cap, 0.0) for known in gates],
    }
    outcome = quality.outcomes(market, splits.test)
    scores = {name: quality.path_scores(fan, outcome).mean() for name, fan in fans.items()}
    hung = surprise_table({k: fans[k] for k in ("copula, original", "copula")}, outcome)
    print(f"\nSurprises of seed {seed}\n{hung.round(2).to_string()}")
    return pd.DataFrame(scores).T, quality.shape_table(fans, outcome, cap)


def main() -> None:
    seeds = tuple(int(word) for word in sys.argv[1:]) or SEEDS
    params = load_params(n_scenarios=N_SCENARIOS)
    scores, shapes = zip(*(study(seed, params) for seed in seeds), strict=True)
    mean = sum(scores) / len(seeds)
    ratio = {
        name: mean.loc[name] / mean.loc[f"{name}, independent"] for name in ("copula", "truth")
    }
    against = pd.concat(
        {seed: s.div(s["truth"], axis=0) for seed, s in zip(seeds, shapes, strict=True)}
    )
    print("Shape of the days over that of the truth, mean of the seeds")
    print(against.groupby(level=1, sort=False).mean().round(3).to_string(), "\n")
    each = against["copula"].unstack(0).loc[SHAPES[:3]]
    print("Copula over truth, seed by seed")
    print(each.round(3).to_string(), "\n")
    targets = {
        f"{title}, copula against truth": judged(float((each.loc[title] - 1).abs().mean()), 0.05)
        for title in SHAPES[:3]
    }
    targets["variogram of the copula over independent"] = judged(ratio["copula"]["variogram"], 0.85)
    notes = {
        "the same of the truth, over its own": f"{ratio['truth']['variogram']:.3f}",
        "with equal weights, copula": f"{ratio['copula']['variogram_flat']:.3f}",
        "with equal weights, truth": f"{ratio['truth']['variogram_flat']:.3f}",
    }
    report("fans", mean.rename_axis("fan").reset_index().to_dict("records"), targets | notes)


if __name__ == "__main__":
    main()
