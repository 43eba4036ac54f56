"""Walk-forward forecasts that tests of the calibration read: made once, never changed."""

from __future__ import annotations

import pytest
from calibration_cases import capped_market, features_of
from small_cases import make_params

from bessvpp.forecasting import walk_forward
from bessvpp.forecasting.splits import split_days
from bessvpp.market.history import MARKETS


@pytest.fixture(scope="session")
def walked():
    """A market with a cap, and its walk-forward forecasts by market."""
    params = make_params(
        calibration_days=50, test_days=10, retrain_every_days=20, min_group_size=30
    )
    market = capped_market(120)
    splits = split_days(market, params.forecast)
    features = features_of(market, params)
    walks = {
        name: walk_forward.walk_forward(
            name, features, market, splits, params.forecast, params.market
        )
        for name in MARKETS
    }
    return params, market, splits, walks
