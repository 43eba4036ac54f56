"""What stored energy is worth within a day: by hand, against the programme, under uncertainty."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from small_cases import day_shape, make_params, make_problem, price_scenarios

from bessvpp.optimizer.dynamic import energy_nodes, energy_table
from bessvpp.optimizer.energy_value import energy_values
from bessvpp.optimizer.problem import EnergyValue
from bessvpp.optimizer.stored_energy import Worth, block_slopes, earlier, unit_days
from bessvpp.optimizer.surprise import SurpriseLaw, law_of_gates, law_of_paths, sure_law

FREE = {
    "fee_dam_rs_per_mwh": 0.0,
    "fee_rtm_rs_per_mwh": 0.0,
    "fee_flow_rs_per_mwh": 0.0,
    "scheduling_rs_per_mwh": 0.0,
    "dsm_share_of_flow": 0.0,
}


def a_unit(schedule: float = 0.0, **changes):
    """One unit, 50 MW, 20 to 180 MWh, .96 and .92, wear 310, fee 33, 8.8 on flow."""
    problem = make_problem(make_params(terminal="free", dsm_share_of_flow=0.0, **changes))
    return unit_days(problem, np.full((1, 24), schedule))[0]


@pytest.mark.parametrize(
    ("schedule", "slopes", "lengths"),
    [
        # buy at 1000 + 33, charge for 8.8; sell at 1000 - 33, discharge for 8.8 + 310
        (0.0, [1041.8 / 0.96, 0.0, 648.2 * 0.92], [48.0, 0.0, 50 / 0.92]),
        # 10 MW are sold: up to there, what is discharged spares a purchase
        (10.0, [1041.8 / 0.96, 714.2 * 0.92, 648.2 * 0.92], [48.0, 10 / 0.92, 40 / 0.92]),
        # 10 MW are bought: what is not charged of it is sold
        (-10.0, [1041.8 / 0.96, 975.8 / 0.96, 648.2 * 0.92], [40 * 0.96, 9.6, 50 / 0.92]),
    ],
)
def test_what_a_block_earns_by_hand(schedule, slopes, lengths):
    found, widths = block_slopes(a_unit(schedule), 3, np.array([1000.0]), np.array([8.8]))
    np.testing.assert_allclose(widths, lengths, atol=1e-9)
    used = np.array(lengths) > 0
    np.testing.assert_allclose(found[0, used], np.array(slopes)[used], atol=0.02)  # the tie-break


def test_a_wall_of_slopes_is_merged_by_hand():
    """After: 30 a MWh on the first 40, 10 on 60. The block: charge 20 at 25, sell 50 at 15."""
    worth = Worth(np.array([[30.0, 10.0]]), np.array([[40.0, 60.0]]))
    before = earlier(worth, np.array([[25.0, 15.0]]), np.array([20.0, 50.0]), charge_mwh=20.0)
    # merged: 30 on 40, 25 on 20, 15 on 50, 10 on 60; the first 20 lie below the window of 100
    np.testing.assert_allclose(before.slopes, [[30.0, 25.0, 15.0, 10.0]])
    np.testing.assert_allclose(before.lengths, [[20.0, 20.0, 50.0, 10.0]])


@pytest.mark.parametrize("terminal", ["hard", "free", "value"])
@pytest.mark.parametrize("n_blocks", [24, 96])
def test_the_grid_agrees_with_the_exact_recursion_where_prices_are_sure(terminal, n_blocks):
    problem = make_problem(make_params(terminal=terminal), n_blocks)
    if terminal == "value":
        values = energy_values(problem, day_shape(n_blocks))
        problem = replace(problem, energy_values=values)
    prices = price_scenarios(3, n_blocks, seed=4)
    schedule = np.random.default_rng(1).uniform(-20, 20, (1, n_blocks))
    day = unit_days(problem, schedule)[0]
    flow_cost = np.full(prices.rtm.shape, 8.8)
    worth = day.end
    costs = problem.costs.model_copy(update={"dsm_share_of_flow": 0.0})
    for t in range(n_blocks - 1, 0, -1):
        slopes, lengths = block_slopes(day, t, prices.rtm[:, t], flow_cost[:, t])
        worth = earlier(worth, slopes, lengths, -float(day.taken_mwh(-day.charge_max_mw[t])))
    starts = np.zeros(1, dtype=int)
    table = energy_table(
        day, costs, prices.dam, starts, prices.rtm[None], sure_law(n_blocks), n_energies=641
    )
    grid = energy_nodes(day, 641) - day.e_min_mwh
    inner = grid >= 80  # below, a hard target may be out of reach by a wall of 1e7 a MWh
    exact, found = worth.at(grid), table.after_rs[0][:, 0]
    exact, found = (v[:, inner] - v[:, -1:] for v in (exact, found))
    np.testing.assert_allclose(found, exact, atol=1e-3 * np.abs(exact).max())


def test_the_value_of_waiting_by_hand():
    """Two blocks, no costs, 50 MWh to sell: the second pays 1000 or 3000, known when it comes.

    Sold at once in the first they bring 50 h x 1900 = 95,000; kept, 2000 each on average. So
    waiting is worth 100 Rs/MWh, and with a first price of 2100 it is not worth while.
    """
    unit = {"eta_charge": 1.0, "eta_discharge": 1.0, "wear_rs_per_mwh_discharged": 0.0}
    params = make_params(unit | {"e_target_mwh": 20.0}, terminal="free", **FREE)
    day = unit_days(make_problem(params), np.zeros((1, 24)))[0]
    day = replace(day, charge_max_mw=np.zeros(24))
    expected = np.full((1, 1, 24), 0.0)
    expected[0, 0, 23] = 2000.0
    law = SurpriseLaw(
        np.full(24, 1.0), np.array([-1000.0, 1000.0]), np.full((2, 2), 0.5), 0.0, 10_000.0
    )
    table = energy_table(day, params.market, expected[0], np.zeros(1, dtype=int), expected, law)
    # one block is left, so 50 MWh count and more is worth nothing
    np.testing.assert_allclose(np.diff(table.after_rs[22][0, 0])[:25] / 2, 2000.0, atol=0.05)
    np.testing.assert_allclose(np.diff(table.after_rs[22][0, 0])[25:], 0.0, atol=0.05)
    # two blocks: the first 50 MWh are sold in the better of the two, by hand
    # block 22 pays 0 or 1000 (a surprise of -1000 is cut at 0), block 23 1000 or 3000
    worth = table.after_rs[21][0, 0]
    assert worth[25] - worth[0] == pytest.approx(50 * 2000, abs=5)
    assert worth[50] - worth[0] == pytest.approx(50 * 2000 + 50 * 500, abs=5)


def test_v_is_concave_and_knowing_less_is_never_worth_more():
    problem = make_problem(make_params(terminal="free"))
    dam = day_shape(24)[None]
    day = unit_days(problem, np.zeros((1, 24)))[0]
    starts = np.zeros(1, dtype=int)
    nodes = np.array([-1.5, 0.0, 1.5])
    lasting = np.array([[0.8, 0.2, 0.0], [0.1, 0.8, 0.1], [0.0, 0.2, 0.8]])
    law = SurpriseLaw(np.full(24, 900.0), nodes, lasting, 0.0, 10_000.0)
    table = energy_table(day, problem.costs, dam, starts, dam[None], law)
    for t in (0, 10, 23):
        assert (np.diff(table.after_rs[t], n=2, axis=-1) < 1e-6).all()
    calm = replace(law, spread_rs=np.full(24, 1e-9))
    sure = energy_table(day, problem.costs, dam, starts, dam[None], calm)
    # prices that move around their mean, seen before the trade, leave more to earn
    assert (table.after_rs[0][0, 1] > sure.after_rs[0][0, 1] + 1000).all()


def test_the_least_of_lines_is_cut_into_pieces_by_hand():
    """Lines 100 e, 4000 + 20 e and a needless one; they meet at 50."""
    lines = EnergyValue(np.array([100.0, 60.0, 20.0]), np.array([0.0, 9000.0, 4000.0]))
    problem = make_problem(make_params(terminal="value"), energy_values=(lines,))
    end = unit_days(problem, np.zeros((1, 24)))[0].end
    energies = np.array([20.0, 35.0, 50.0, 120.0, 180.0])
    np.testing.assert_allclose(end.at(energies - 20)[0], lines(energies) - lines(20.0))


def test_a_law_of_gates_finds_how_long_surprises_last():
    rng = np.random.default_rng(0)
    n_days, phi = 400, 0.6
    starts = np.arange(24)
    errors = np.full((n_days, 24, 24), np.nan)
    spread = np.where(np.arange(24) < 12, 300.0, 900.0)
    for day in range(n_days):
        for gate in starts:
            z = rng.normal()
            for t in range(gate, 24):
                errors[day, gate, t] = spread[t] * z
                z = phi * z + np.sqrt(1 - phi**2) * rng.normal()
    law = law_of_gates(errors, starts, 0.0, 1e9)
    np.testing.assert_allclose(law.spread_rs[[3, 6, 16, 20]], [300, 300, 900, 900], rtol=0.1)
    assert law.long_run.sum() == pytest.approx(1)
    moments = law.long_run @ law.nodes, law.long_run @ law.nodes**2
    np.testing.assert_allclose(moments, [0, 1], atol=0.12)
    middle = slice(2, -2)
    lasting = (law.transition @ law.nodes)[middle] / law.nodes[middle]
    assert np.median(lasting) == pytest.approx(phi, abs=0.06)


def test_a_law_of_paths_weighs_them():
    surprises = np.array([[1000.0] * 4, [-1000.0] * 4, [10.0] * 4])
    law = law_of_paths(surprises, np.array([0.5, 0.5, 0.0]), 0.0, 9000.0)
    np.testing.assert_allclose(law.spread_rs, 1000.0)
    weights = law.weights_of(np.array([3000.0, np.nan]), np.array([3000.0, 0.0]), 0)
    assert weights[0] @ law.nodes == pytest.approx(0, abs=1e-9)
    np.testing.assert_allclose(weights[1], law.long_run)


def test_prices_of_the_law_keep_floor_and_cap():
    law = SurpriseLaw(np.full(2, 500.0), np.array([-9.0, 0.0, 9.0]), np.eye(3), 0.0, 6000.0)
    np.testing.assert_allclose(law.prices(np.array([2000.0]), 1), [[0.0, 2000.0, 6000.0]])
