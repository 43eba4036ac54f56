"""The RTM within the day: what is known at a session's gate, and what that is worth."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pytest
from small_cases import make_params

from bessvpp import intraday
from bessvpp.artefacts import RunFolder
from bessvpp.errors import DataError
from bessvpp.market import Market

FIRST = np.datetime64("2024-05-01")
PARAMS = make_params()
RULES = PARAMS.market


def a_market(n_days: int = 30, n_blocks: int = 24, seed: int = 0) -> Market:
    """RTM = DAM + a spread that persists from block to block over days."""
    rng = np.random.default_rng(seed)
    hour = np.arange(n_blocks) * 24 / n_blocks
    dam = 4500 + 1500 * np.cos(hour * np.pi / 12) + rng.normal(0, 300, (n_days, n_blocks))
    shock = rng.normal(0, 1, n_days * n_blocks)
    phi = 0.9 ** (24 / n_blocks)
    for t in range(1, shock.size):
        shock[t] = phi * shock[t - 1] + np.sqrt(1 - phi**2) * shock[t]
    rtm = dam + 1000 * shock.reshape(dam.shape)
    dates = FIRST + np.arange(n_days)
    return Market(dates, dam, rtm, np.zeros(dam.shape, dtype=bool), {}, False)


def gate_of(market: Market, day: int, block: int) -> dt.datetime:
    """When the bids of a block's session close."""
    start = dt.datetime.combine(market.dates[day].item(), dt.time())
    minutes = block * market.block_minutes - RULES.rtm_gate_minutes
    return start + dt.timedelta(minutes=int(minutes))


@pytest.mark.parametrize(
    ("n_blocks", "gate", "session", "behind"),
    [(96, 60, 30, 3), (24, 60, 30, 2), (96, 45, 30, 3), (96, 30, 30, 1), (96, 60, 60, 1)],
)
def test_the_distance_to_the_latest_known_block_by_hand(n_blocks, gate, session, behind):
    rules = make_params(rtm_gate_minutes=gate, rtm_session_minutes=session).market
    assert intraday.blocks_behind(rules, n_blocks) == behind


@pytest.mark.parametrize("n_blocks", [24, 96])
def test_features_are_those_of_the_market_known_at_the_gate(n_blocks):
    """The long series against the market object, which hides what is not known yet."""
    market = a_market(12, n_blocks)
    for day in (0, 1, 10):
        for block in intraday.session_starts(RULES, n_blocks)[:: n_blocks // 12]:
            known = market.known_at(gate_of(market, day, block), RULES) if day else market
            if day == 0:  # before the history there is nothing: hide it by hand
                rtm = market.rtm_mcp.copy()
                rtm.ravel()[max(block - intraday.blocks_behind(RULES, n_blocks) + 1, 0) :] = np.nan
                known = Market(market.dates, market.dam_mcp, rtm, market.rtm_no_trade, {}, False)
            seen = intraday.features_at(known, day, block, RULES)
            whole = intraday.features_at(market, day, block, RULES)
            np.testing.assert_array_equal(seen.to_numpy(), whole.to_numpy())
            latest = day * n_blocks + block - intraday.blocks_behind(RULES, n_blocks)
            spread = (known.rtm_mcp - known.dam_mcp).ravel()
            if latest >= 0:  # and all that is known is used: the latest is the last one known
                assert np.flatnonzero(np.isfinite(spread))[-1] == latest
                assert whole["latest"].iloc[0] == spread[latest]


def test_features_by_hand():
    market = a_market(12)
    found = intraday.features_at(market, 10, 20, RULES)
    spread = market.rtm_mcp - market.dam_mcp
    assert len(found) == 4
    assert found["latest"].tolist() == [spread[10, 18]] * 4
    assert found["mean_3h"].iloc[0] == pytest.approx(spread[10, 16:19].mean())
    np.testing.assert_allclose(found["day_before"], spread[9, 20:])
    # at the first gate of a day the evening before is not known yet: the day before that
    found = intraday.features_at(market, 10, 0, RULES)
    np.testing.assert_allclose(found["day_before"].iloc[:23], spread[9, :23])
    assert found["day_before"].iloc[23] == pytest.approx(spread[8, 23])
    assert found["week_mean"].iloc[5] == pytest.approx(spread[2:10, 5].mean())
    assert found["horizon_h"].iloc[-1] == 23
    assert found["dam_rank"].iloc[np.argmax(market.dam_mcp[10])] == 23 / 24


def test_a_persistent_spread_is_expected_to_persist():
    market = a_market(60)
    model = intraday.train(market, market.dates[8:45], RULES, PARAMS.forecast)
    miss, naive = [], []
    expected = intraday.expected_days(model, market, market.dates[45:], RULES)
    assert expected.shape == (15, 24, 24)
    for day in range(45, 60):
        for block in intraday.session_starts(RULES, 24)[::4]:
            seen = expected[day - 45, block]
            assert (np.isfinite(seen) == (np.arange(24) >= block)).all()
            miss.append(seen[block] - market.rtm_mcp[day, block])
            naive.append(market.dam_mcp[day, block] - market.rtm_mcp[day, block])
    # two hours behind a spread with .9 an hour, .81**2 of its variance can be known
    assert np.mean(np.square(miss)) < 0.7 * np.mean(np.square(naive))


def test_the_model_is_kept_as_text_and_comes_back_the_same(tmp_path):
    market = a_market()
    model = intraday.train(market, market.dates[8:25], RULES, PARAMS.forecast)
    run = RunFolder(tmp_path)
    intraday.save(run, model)
    assert (tmp_path / "models" / "rtm" / "intraday.txt").read_text("utf-8").startswith("tree")
    one, two = (
        intraday.expected_days(m, market, market.dates[26:], RULES)
        for m in (model, intraday.load(run))
    )
    np.testing.assert_array_equal(one, two)
    again = intraday.train(market, market.dates[8:25], RULES, PARAMS.forecast)
    assert again.model_to_string() == model.model_to_string()


def test_without_any_spread_there_is_nothing_to_learn():
    market = a_market(12)
    no_rtm = Market(
        market.dates, market.dam_mcp, np.full((12, 24), np.nan), market.rtm_no_trade, {}, False
    )
    for days in (market.dates[8:], market.dates[:0]):
        with pytest.raises(DataError, match="no RTM price on any training day"):
            intraday.train(no_rtm, days, RULES, PARAMS.forecast)
