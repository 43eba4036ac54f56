"""How surprises hang together, and the fan to plan with, on cases that a hand can check."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from bessvpp.prices import PriceScenarios
from bessvpp.scenarios.surprises import better_fan, fan_scores, surprise_figures, surprise_table


def test_the_figures_of_four_surprises_by_hand():
    found = surprise_figures(np.array([2.0, -2, 2, -2]), np.array([1.0, -1, -1, -1]))
    # Products 2, 2, -2, 2: mean 1; squares 4 and 1; of the spread 1, -1, 3, -1: mean 3.
    assert found == {
        "correlation": pytest.approx(0.5),
        "slope": pytest.approx(0.75),
        "spread_rms": pytest.approx(np.sqrt(3)),
        "dam_rms": pytest.approx(2.0),
        "rtm_rms": pytest.approx(1.0),
    }


def test_days_and_paths_are_measured_from_the_fans_own_means():
    """Means 10 and 20; the day came at 13 and 19, and in a block without an RTM price."""
    dam, rtm = np.array([[8.0, 0.0], [14.0, 90.0]]), np.array([[18.0, 0.0], [24.0, 90.0]])
    fan = [PriceScenarios(dam, rtm, np.array([2 / 3, 1 / 3]))]
    outcome = np.array([[13.0, 50.0, 19.0, np.nan]])
    table = surprise_table({"one": fan}, outcome)
    assert table.loc[("one", "days"), "dam_rms"] == pytest.approx(3.0)
    assert table.loc[("one", "days"), "spread_rms"] == pytest.approx(4.0)
    assert table.loc[("one", "days"), "correlation"] == pytest.approx(-1.0)
    # Paths: -2 and 4 in both markets; each market's own path counts alike.
    assert table.loc[("one", "fan"), "dam_rms"] == pytest.approx(np.sqrt(10))
    assert table.loc[("one", "fan"), ["slope", "spread_rms"]].tolist() == pytest.approx([0, 0])


def drawn(rng, correlation, size, n_days=150, n_scenarios=80):
    covariance = size**2 * np.array([[1, correlation], [correlation, 1]])
    days = []
    for _ in range(n_days):
        both = 4000 + rng.multivariate_normal([0, 0], covariance, (n_scenarios, 24))
        days.append(
            PriceScenarios(both[..., 0], both[..., 1], np.full(n_scenarios, 1 / n_scenarios))
        )
    return days


def test_the_fan_that_the_days_come_from_is_the_one_to_plan_with():
    rng = np.random.default_rng(5)
    fans = {"wide": drawn(rng, 0.5, 900.0), "true": drawn(rng, 0.5, 500.0)}
    outcome = np.array([np.r_[day.dam[0], day.rtm[0]] for day in drawn(rng, 0.5, 500.0)])
    scores = fan_scores(fans, outcome)
    assert list(scores.index) == ["wide", "true"]
    assert scores["spread_width"].tolist() == pytest.approx([1.8, 1.0], rel=0.05)
    assert scores["correlation_off"].tolist() == pytest.approx([0, 0], abs=0.05)
    assert better_fan(scores) == "true"


def test_of_fans_of_like_energy_the_one_of_truer_spread_is_taken():
    scores = pd.DataFrame(
        {"energy": [100.0, 100.4, 100.6], "spread_width": [1.3, 0.85, 1.0]}, index=["a", "b", "c"]
    )
    assert better_fan(scores) == "b"  # c is more than half a per cent behind
    assert better_fan(scores.loc[["a", "c"]]) == "a"
