"""Nothing that is counted, scored or chosen hangs on the last bit of a forecast."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import pytest
from small_cases import CAP, fleet, make_market, make_params, make_problem, price_scenarios

from bessvpp.calibration import (
    conformal,
    coverage,
    gate,
    recalibration,
    scores,
    significance,
)
from bessvpp.calibration.conformal import ExpertWeights
from bessvpp.calibration.intraday import recalibrated_days, score_by_distance
from bessvpp.calibration.methods import method_names
from bessvpp.desk.bids import in_bid_steps
from bessvpp.forecasting import baselines, boosting, intraday, splits, walk_forward
from bessvpp.forecasting.features import feature_frame
from bessvpp.forecasting.quantiles import QuantileForecast, promised_below
from bessvpp.market import clock, history
from bessvpp.market.clock import gate_time
from bessvpp.market.history import MARKETS, Market
from bessvpp.optimizer.engine import ArrayProgramme
from bessvpp.optimizer.problem import tie_break
from bessvpp.price_tick import first_least, on_chance_step, on_price_tick
from bessvpp.prices import PriceScenarios
from bessvpp.risk import Risk
from bessvpp.scenarios import copula, draw, quality

MAKERS = (baselines, conformal, quality, boosting, intraday, recalibration, copula)
"""Modules that bring what they compute to the tick."""
DUST = 1e-12
PARAMS = make_params(
    block_minutes=60,
    levels=[0.1, 0.25, 0.5, 0.75, 0.9],
    calibration_days=30,
    test_days=24,
    train_window_days=[0, 30],
    recalibration="auto",
    min_group_size=12,
    dependence="copula",
    n_scenarios=20,
)
RULES, LEVELS = PARAMS.market, PARAMS.forecast.levels


# ------------------------------------------------------------------------------ the rule


def test_a_price_on_the_tick_is_the_double_of_its_decimals():
    cents = np.arange(0, 1_000_001, 37)
    read = np.array([float(f"{n // 100}.{n % 100:02d}") for n in cents])
    for factor in (1 - DUST, 1.0, 1 + DUST):
        np.testing.assert_array_equal(on_price_tick(read * factor), read)
    np.testing.assert_array_equal(on_price_tick(on_price_tick(read + 0.0037)), read)


def test_half_ticks_go_up_whichever_side_their_last_bit_is_on():
    up = np.arange(1, 1_000_000, 41) / 100
    half = up - 0.005
    for factor in (1 - DUST, 1.0, 1 + DUST):
        np.testing.assert_array_equal(on_price_tick(half * factor), up)


def test_what_is_not_known_stays_so_and_chances_are_millionths():
    assert np.isnan(on_price_tick(np.nan))
    assert np.isnan(on_chance_step(np.nan))
    assert on_chance_step(0.05 - 1e-15) == on_chance_step(0.05 + 1e-15) == 0.05
    assert on_chance_step(1 - 1e-15) == 1.0
    assert on_chance_step(1e-15) == 0.0


def test_of_equals_the_first_is_taken():
    assert first_least([3.0, 2.0 + 1e-13, 2.0, 2.0 - 1e-13]) == 1
    assert first_least([np.nan, 2.0, 1.9]) == 2


def test_experts_that_lose_the_same_but_for_dust_weigh_the_same():
    experts = ExpertWeights.start(2, 1)
    experts.observe(np.array([[300.0], [300.0 * (1 + 3e-16) + 1e-13]]))
    np.testing.assert_array_equal(experts.weights, [[0.5], [0.5]])


# ------------------------------------------------------------------------------ forecasts


def atoms_market(n_days: int = 95) -> Market:
    """Evenings at the cap and noons at the floor for spells of days, in both markets."""
    market = make_market(n_days, seed=5)
    tight = np.cumsum(np.random.default_rng(6).normal(0, 0.5, n_days))[:, None]
    hour = np.arange(24)
    lift = 5000 * np.exp(-(((hour - 20) / 3) ** 2)) - 4500 * np.exp(-(((hour - 12) / 2) ** 2))
    lift = lift * (1 + 0.15 * np.sin(tight))
    dam, rtm = (np.clip(p + lift, 0, CAP).round(2) for p in (market.dam_mcp, market.rtm_mcp))
    return replace(market, dam_mcp=dam, rtm_mcp=rtm)


MARKET = atoms_market()
SPLITS = splits.split_days(MARKET, PARAMS.forecast)
FEATURES = feature_frame(MARKET, MARKET.dates[PARAMS.forecast.warmup_days :], RULES)


def at(dates: np.ndarray, name: str) -> np.ndarray:
    """(D, T) prices of some days."""
    return history.prices_of(MARKET, name)[[MARKET.index_of(day) for day in dates]]


def made(name: str) -> tuple[dict[str, QuantileForecast], dict[str, object]]:
    """Every fan of one market, and what is counted while they are made."""
    settings, test = PARAMS.forecast, SPLITS.test
    walk = walk_forward.walk_forward(name, FEATURES, MARKET, SPLITS, settings, RULES)
    chosen, table = recalibration.choose_method(walk.forecast, MARKET, settings, RULES)
    methods = (*method_names(settings), "two_sided")
    fans = {
        method: one.forecast
        for method, one in recalibration.recalibrate(
            walk.forecast, MARKET, test, methods, settings, RULES
        ).items()
    }
    past = test[:20]
    points = baselines.lear(name, FEATURES, MARKET, test, RULES)
    fans |= {
        "models": walk.forecast.on(test),
        "persistence": baselines.persistence_forecast(name, MARKET, test, LEVELS, RULES),
        "climatology": baselines.climatology(name, MARKET, test, LEVELS, RULES),
        "lear": baselines.quantile_regression_average(
            name, points, MARKET, past, test[20:], LEVELS, RULES
        ),
    }
    counted = {"chosen": chosen, "methods": table.to_numpy(), "crossings": walk.n_crossings}
    return fans, counted | {"points": points}


def scored(fan: QuantileForecast) -> dict[str, np.ndarray]:
    """All that is counted of a fan."""
    y, values = at(fan.dates, fan.market), fan.values
    groups = gate.groups_over_days(fan.dates, values, LEVELS, gate.regimes(fan))
    promised = {"a": promised_below(fan, 0.0, np.full((len(fan.dates), 1), CAP))}
    return {
        "table": scores.score_table(y, {"a": values}, LEVELS, "a", promised).to_numpy(),
        "hits": np.hstack([part.ravel() for part in coverage.hit_counts(y, values)]),
        "pit": scores.pit_histogram(y, values, LEVELS, fan.p_floor, fan.p_cap),
        "tests": significance.hourly_tests(y, values, LEVELS, fan.dates).to_numpy(),
        "groups": scores.group_table(y, {"a": values}, LEVELS, groups, promised).to_numpy(),
        "chance": scores.chance_reliability(fan.p_cap, y >= CAP).to_numpy(),
    }


def joint(fans: Mapping[str, QuantileForecast]) -> dict[str, np.ndarray]:
    """What is counted of the paths drawn from two fans, DAM and RTM."""
    dates = SPLITS.test[-4:]
    known = MARKET.known_at(gate_time(dates[0], RULES.dam_gate), RULES)
    correlation = copula.copula_correlation(fans, known, RULES, PARAMS.scenarios)
    each = [correlation] * len(dates)
    drawn = draw.draw_fan(fans, each, MARKET, dates, RULES, PARAMS.scenarios)
    drawn += [quality.persistence_path(known, CAP, 0.0)] * len(dates)
    outcome = np.tile(quality.outcomes(MARKET, dates), (2, 1))
    ranks = [
        quality.rank_table(part, y, np.random.default_rng(1))
        for part, y in ((drawn[:4], outcome[:4]), (drawn[4:], outcome[4:]))
    ]
    shape = quality.shape_table({"a": drawn[:4], "b": drawn[4:]}, outcome[:4], CAP)
    return {
        "paths": np.vstack([quality.paths(day) for day in drawn]),
        "ranks": np.hstack([values for table in ranks for values in table.values()]),
        "shape": shape.to_numpy(),
    }


def within_the_day() -> dict[str, np.ndarray]:
    """The fans within the day, raw and recalibrated, and their scores by distance."""
    days = SPLITS.train[-16:]
    features, target = intraday.spread_training_set(MARKET, days, RULES)
    models = intraday.train_quantiles(features, target, PARAMS.forecast)
    starts = clock.fan_starts(RULES, 24)
    out = SPLITS.calibration
    fans = intraday.quantile_days(models, MARKET, out, starts, RULES)
    better = recalibrated_days(fans, MARKET, out[-3:], RULES, PARAMS.forecast)
    y = at(out[-3:], "rtm")
    both = {"raw": fans.on(out[-3:]).values, "recalibrated": better.values}
    table = score_by_distance(y, both, fans.ahead, LEVELS)
    return {"fans": np.stack(list(both.values())), "scores": table.to_numpy()}


def everything() -> dict[str, dict]:
    """All fans, and all that is counted or chosen, by maker."""
    found, of_models = {"within the day": within_the_day()}, {}
    for name in MARKETS:
        fans, counted = made(name)
        of_models[name] = fans["models"]
        found[name, "made"] = counted
        for fan, values in fans.items():
            found[name, fan] = {"values": values.values} | scored(values)
    return found | {"joint": joint(of_models)}


@pytest.fixture(scope="module")
def unmoved() -> dict[str, dict]:
    return everything()


def moved_by(signs: Callable[[tuple], np.ndarray], rule: Callable) -> Callable:
    """The rule, given raw forecasts that are off by ``DUST`` of themselves."""

    def moved(values: np.ndarray) -> np.ndarray:
        values = np.asarray(values, dtype=float)
        return rule(values * (1 + DUST * signs(values.shape)))

    return moved


def move(patch: pytest.MonkeyPatch, way: str) -> None:
    """Perturb every raw price and chance before it is brought to its grid."""
    rng = np.random.default_rng(11)
    signs = {
        "up": np.ones,
        "down": lambda shape: -np.ones(shape),
        "either": lambda shape: rng.choice([-1.0, 1.0], shape),
    }[way]
    for module in MAKERS:
        for name, rule in (("on_price_tick", on_price_tick), ("on_chance_step", on_chance_step)):
            if hasattr(module, name):
                patch.setattr(module, name, moved_by(signs, rule))


@pytest.mark.slow
def test_the_case_has_many_outcomes_and_quantiles_on_its_atoms(unmoved):
    for name in MARKETS:
        y, values = at(SPLITS.test, name), unmoved[name, "models"]["values"]
        for atom in (0.0, CAP):
            assert (y == atom).mean() > 0.04
            assert (values == atom).mean() > 0.02
            assert ((y == atom)[..., None] & (values == atom)).sum() > 30


@pytest.mark.slow
@pytest.mark.parametrize("way", ["up", "down", "either"])
def test_dust_on_every_raw_forecast_moves_no_share_score_or_choice(unmoved, way, monkeypatch):
    move(monkeypatch, way)
    again = everything()
    assert again.keys() == unmoved.keys()
    for maker, expected in unmoved.items():
        for what, value in expected.items():
            told = f"{what} of {maker}"
            if isinstance(value, str):
                assert again[maker][what] == value, told
                continue
            np.testing.assert_allclose(
                again[maker][what], value, rtol=1e-9, atol=1e-9, err_msg=told
            )


def test_every_fan_and_path_is_on_the_tick(unmoved):
    for maker, found in unmoved.items():
        for what in ("values", "fans", "paths", "points"):
            if what in found:
                told = f"{what} of {maker}"
                np.testing.assert_array_equal(found[what], on_price_tick(found[what]), told)


def test_without_the_tick_the_same_dust_does_move_shares():
    """Why the rule is there: climatology's quantiles sit on the cap, and dust takes them off."""
    fan = baselines.climatology("dam", MARKET, SPLITS.test, LEVELS, RULES)
    y = at(SPLITS.test, "dam")
    _, exact, _ = coverage.hit_counts(y, fan.values)
    _, below, _ = coverage.hit_counts(y, fan.values * (1 - DUST))
    assert (exact - below).sum() > 0.02 * exact.sum()


# ------------------------------------------------------------------------------ decisions


def capped(n_scenarios: int, n_blocks: int, seed: int) -> PriceScenarios:
    """Paths on the tick, with evenings at the cap and noons at the floor on most seeds."""
    day, hour = price_scenarios(n_scenarios, n_blocks, seed=seed), np.arange(n_blocks)
    hour = hour * 24 / n_blocks
    lift = np.exp(-(((hour - 20) / 2.5) ** 2)) - np.exp(-(((hour - 12) / 2) ** 2))
    prices = (
        on_price_tick(np.clip(p + 3000 * (seed % 3) * lift, 0, CAP)) for p in (day.dam, day.rtm)
    )
    return PriceScenarios(*prices, day.weights)


def dusted(day: PriceScenarios, rng: np.random.Generator) -> PriceScenarios:
    """The same with every price off by 1e-9 of itself, up or down."""
    dam, rtm = (p * (1 + 1e-9 * rng.choice([-1, 1], p.shape)) for p in (day.dam, day.rtm))
    return PriceScenarios(dam, rtm, day.weights)


@pytest.mark.parametrize("commitment", ["physical", "financial"])
@pytest.mark.parametrize(("n_blocks", "n_scenarios"), [(24, 20), (96, 6)])
@pytest.mark.parametrize("weight", [0.0, 0.3])
def test_dust_on_the_prices_moves_no_commitment_and_no_bid(
    commitment, n_blocks, n_scenarios, weight
):
    for seed in range(3):
        for params in (make_params(commitment=commitment), fleet(commitment=commitment)):
            problem, day = make_problem(params, n_blocks), capped(n_scenarios, n_blocks, seed)
            other = dusted(day, np.random.default_rng(seed))
            first, again = (
                ArrayProgramme(problem, prices).solve(Risk(weight, 0.4)) for prices in (day, other)
            )
            np.testing.assert_allclose(again.dam_mw, first.dam_mw, rtol=0, atol=1e-3)
            _, bids = in_bid_steps(problem, first, 0.1)
            np.testing.assert_array_equal(in_bid_steps(problem, again, 0.1)[1], bids)


@pytest.mark.parametrize("n_blocks", [24, 96])
@pytest.mark.parametrize("commitment", ["physical", "financial"])
def test_dust_decides_nothing_where_every_block_but_the_evening_costs_the_same(
    commitment, n_blocks
):
    hour = np.arange(n_blocks) * 24 / n_blocks
    prices = np.tile(np.where((hour >= 18) & (hour < 23), CAP, 3000.0), (4, 1))
    day = PriceScenarios(prices, prices, np.full(4, 0.25))
    for params in (make_params(commitment=commitment), fleet(commitment=commitment)):
        problem = make_problem(params, n_blocks)
        first = ArrayProgramme(problem, day).solve(Risk(0.3, 0.4))
        for seed in range(3):
            other = dusted(day, np.random.default_rng(seed))
            again = ArrayProgramme(problem, other).solve(Risk(0.3, 0.4))
            np.testing.assert_allclose(again.dam_mw, first.dam_mw, rtol=0, atol=1e-3)


def test_dust_can_decide_where_prices_make_up_for_the_tie_break_at_no_cost():
    """The exception that ``tie_break`` states, made on purpose: two hours equal after it."""
    dam = np.full(24, 3400.0)
    dam[20] = 9000.0
    ties = tie_break("dam_purchase", 24) + tie_break("charge", 24)
    problem = make_problem(make_params(), rtm_allowed=False)
    dear = 1 + RULES.dsm_share_of_flow  # what a bought MWh costs, by its price
    dam[[3, 11]] = 3000.0 - ties[[3, 11]] / dear
    plans = []
    for cheaper in (3, 11):
        moved = dam.copy()
        moved[cheaper] *= 1 - 1e-9
        day = PriceScenarios.single(moved, moved)
        plans.append(ArrayProgramme(problem, day, is_risk_averse=False).solve())
    assert np.abs(plans[0].dam_mw - plans[1].dam_mw).max() > 1
    assert abs(plans[0].objective_rs - plans[1].objective_rs) < 0.01
