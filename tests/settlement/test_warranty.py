"""The price that keeps a warranty's budget of discharge, and who counts it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from small_cases import UNIT, day_shape, make_market, make_params, make_problem

from bessvpp.optimizer.energy_value import energy_values
from bessvpp.params.load import Params
from bessvpp.prices import PriceScenarios
from bessvpp.settlement.day import settle_with_recourse
from bessvpp.settlement.warranty import told_of_prices, warranty_price, with_warranty_prices

FREE = {
    "fee_rtm_rs_per_mwh": 0.0,
    "fee_flow_rs_per_mwh": 0.0,
    "scheduling_rs_per_mwh": 0.0,
    "dsm_share_of_flow": 0.0,
}
"""Trade and flow cost nothing."""


def of_warranty(mwh_a_day: float) -> Params:
    """A battery without losses whose warranty allows an energy a day; all but wear is free."""
    unit = {"eta_charge": 1.0, "eta_discharge": 1.0, "e_start_mwh": 60.0, "e_target_mwh": 60.0}
    return make_params(unit | {"warranty_throughput_mwh_per_year": 365 * mwh_a_day}, **FREE)


def two_evenings() -> np.ndarray:
    """(2, 24) two hours to buy in at 1000, then two of 6000 and 5000, or of 5500 and 4500."""
    dam = np.full((2, 24), 3000.0)
    dam[:, 2:4] = 1000.0
    dam[0, 19:21], dam[1, 19:21] = (6000.0, 5000.0), (5500.0, 4500.0)
    return dam


@pytest.mark.parametrize(
    ("mwh_a_day", "price"),
    [
        # 50 MWh of each day bought at 1000 come to 25 a day, at a wear of 310
        (0.0001, 6000 - 1000 - 310),
        (24.9, 6000 - 1000 - 310),
        (25.1, 5500 - 1000 - 310),
        (50.1, 5000 - 1000 - 310),
        (75.1, 4500 - 1000 - 310),
        (100.1, 0),
    ],
)
def test_the_price_is_the_margin_of_the_first_sale_beyond_the_budget_by_hand(mwh_a_day, price):
    problem = make_problem(of_warranty(mwh_a_day))
    found = warranty_price(problem, problem.bess.units[0], two_evenings())
    assert found == pytest.approx(price, abs=0.6)


def test_the_tighter_of_cycles_and_throughput_counts_and_a_given_price_stays():
    known = two_evenings()
    for cycles, mwh, budget in ((100.0, 9000.0, 9000.0), (40.0, 9000.0, 8000.0)):
        unit = {"warranty_cycles_per_year": cycles, "warranty_throughput_mwh_per_year": mwh}
        problem = make_problem(make_params(unit))
        assert problem.bess.units[0].warranty_mwh_per_year == budget
        (priced,) = with_warranty_prices(problem, known).bess.units
        alone = make_problem(make_params({"warranty_throughput_mwh_per_year": budget}))
        (expected,) = with_warranty_prices(alone, known).bess.units
        assert priced.warranty_price_rs_per_mwh == expected.warranty_price_rs_per_mwh > 0
    given = make_problem(make_params(unit | {"warranty_price_rs_per_mwh": 70.0}))
    assert with_warranty_prices(given, known) is given
    plain = make_problem(make_params())
    assert with_warranty_prices(plain, known) is plain


def test_a_daily_limit_that_is_tighter_leaves_nothing_to_price():
    unit = {"warranty_cycles_per_year": 0.5 * 365, "max_cycles_per_day": 0.5}
    problem = make_problem(make_params(unit))
    assert warranty_price(problem, problem.bess.units[0], two_evenings()) == 0


def test_the_programme_spends_the_budget_at_the_price_and_more_just_below_it():
    """On the same days, by HiGHS: what is discharged crosses the budget at the price found."""
    params = make_params({"warranty_cycles_per_year": 150.0})
    known = make_market(5, seed=7).dam_mcp
    problem = make_problem(params)
    found = warranty_price(problem, problem.bess.units[0], known)
    assert found > 500

    def spent(price: float) -> float:
        bess = params.bess.with_warranty_prices([price])
        days = [
            settle_with_recourse(
                replace(problem, bess=bess), PriceScenarios.single(dam, dam), np.zeros(24)
            )
            for dam in known
        ]
        return sum(day.discharge_mw.sum() for day in days) / len(days)

    assert spent(found) <= 150 * 200 / 365 < spent(found - 1.0)


def test_stored_energy_is_worth_its_sale_less_wear_and_price_by_hand():
    params = make_params(
        {"warranty_price_rs_per_mwh": 900.0}, terminal="value", fee_dam_rs_per_mwh=0.0, **FREE
    )
    (value,) = energy_values(make_problem(params), np.full(24, 5000.0))
    # above the target a MWh stored is sold; below it, bought: that counts no price
    assert value(150.0) - value(140.0) == pytest.approx(10 * 0.92 * (5000 - 310 - 900), abs=1)
    assert value(80.0) - value(70.0) == pytest.approx(10 * 5000 / 0.96, abs=1)


def test_the_books_of_a_day_know_no_price():
    """At a price that leaves the flows as they are, the day's books are those without one."""
    dam = day_shape(24)
    prices = PriceScenarios.single(dam, dam)
    plain = make_problem(make_params())
    priced = replace(plain, bess=plain.bess.with_warranty_prices([0.001]))
    dear = replace(plain, bess=plain.bess.with_warranty_prices([50_000.0]))
    books = [settle_with_recourse(p, prices, np.zeros(24)) for p in (plain, priced, dear)]
    assert float(books[0].ledger.net_rs) == float(books[1].ledger.net_rs) > 0
    assert books[0].discharge_mw.sum() > 100
    assert books[2].discharge_mw.sum() == pytest.approx(0, abs=1e-9)
    assert float(books[2].ledger.net_rs) == -2000  # the daily charge alone


def test_a_larger_battery_has_a_larger_warranty():
    bess = make_params({"warranty_throughput_mwh_per_year": 50_000.0}).bess
    assert bess.with_energy(400.0).units[0].warranty_mwh_per_year == 100_000


def test_a_price_that_was_found_is_told():
    named = [UNIT | {"warranty_cycles_per_year": 100.0}, UNIT | {"name": "B"}]
    bess = make_params(units=named).bess
    assert told_of_prices(bess, bess.with_warranty_prices([1234.4, None])) == [
        "A: its warranty of 20,000 MWh a year counts Rs 1,234/MWh discharged beside wear, in "
        "planning alone."
    ]
