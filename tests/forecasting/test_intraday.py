"""The RTM within the day: what is known at a session's gate, and what that is worth."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm
from small_cases import CAP, make_params

from bessvpp.calibration.coverage import coverage, mean_pinball
from bessvpp.calibration.intraday import recalibrated_days, score_by_distance
from bessvpp.errors import DataError, MissingArtefactError
from bessvpp.forecasting import intraday
from bessvpp.forecasting.splits import split_days
from bessvpp.market import clock
from bessvpp.market.history import Market
from bessvpp.runs import contents
from bessvpp.runs.folder import RunFolder

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


def model_of(market: Market, days: np.ndarray) -> object:
    return intraday.train_spread_model(
        *intraday.spread_training_set(market, days, RULES), PARAMS.forecast
    )


def quantiles_of(market: Market, days: np.ndarray) -> dict:
    return intraday.train_quantiles(
        *intraday.spread_training_set(market, days, RULES), PARAMS.forecast
    )


def with_rtm(market: Market, rtm: np.ndarray) -> Market:
    return replace(market, rtm_mcp=rtm.reshape(market.rtm_mcp.shape))


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
    assert clock.blocks_behind(rules, n_blocks) == behind


@pytest.mark.parametrize("n_blocks", [24, 96])
def test_features_are_those_of_the_market_known_at_the_gate(n_blocks):
    """The long series against the market object, which hides what is not known yet."""
    market = a_market(12, n_blocks)
    for day in (0, 1, 10):
        for block in clock.session_starts(RULES, n_blocks)[:: n_blocks // 12]:
            known = market.known_at(gate_of(market, day, block), RULES) if day else market
            if day == 0:  # before the history there is nothing: hide it by hand
                rtm = market.rtm_mcp.copy()
                rtm.ravel()[max(block - clock.blocks_behind(RULES, n_blocks) + 1, 0) :] = np.nan
                known = Market(market.dates, market.dam_mcp, rtm, market.rtm_no_trade, {}, False)
            seen = intraday.features_at(known, day, block, RULES)
            whole = intraday.features_at(market, day, block, RULES)
            np.testing.assert_array_equal(seen.to_numpy(), whole.to_numpy())
            latest = day * n_blocks + block - clock.blocks_behind(RULES, n_blocks)
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
    late = intraday.features_at(market, 10, 20, RULES)
    assert late["dam_mean"].tolist() == [market.dam_mcp[10].mean()] * 4  # of the whole day
    # two hours before the gate's block, as far back as the latest spread
    assert found["dam_at_latest"].tolist() == [market.dam_mcp[9, 22]] * 24
    at_cap = market.dam_mcp.copy()
    at_cap[10, [3, 7]] = CAP, CAP - 0.01
    found = intraday.features_at(replace(market, dam_mcp=at_cap), 10, 0, RULES)
    assert np.flatnonzero(found["dam_at_cap"]).tolist() == [3]
    # 5 May 2024 was a Sunday
    sundays = [intraday.features_at(market, day, 0, RULES)["is_sunday"] for day in (3, 4, 5)]
    assert [flag.tolist() for flag in sundays] == [[0.0] * 24, [1.0] * 24, [0.0] * 24]


def test_a_persistent_spread_is_expected_to_persist():
    market = a_market(60)
    models = {market.dates[45]: model_of(market, market.dates[8:45])}
    miss, naive = [], []
    expected = intraday.expected_days(models, market, market.dates[45:], RULES)
    assert expected.shape == (15, 24, 24)
    for day in range(45, 60):
        for block in clock.session_starts(RULES, 24)[::4]:
            seen = expected[day - 45, block]
            assert (np.isfinite(seen) == (np.arange(24) >= block)).all()
            miss.append(seen[block] - market.rtm_mcp[day, block])
            naive.append(market.dam_mcp[day, block] - market.rtm_mcp[day, block])
    # two hours behind a spread with .9 an hour, .81**2 of its variance can be known
    assert np.mean(np.square(miss)) < 0.7 * np.mean(np.square(naive))


def test_expected_prices_lie_within_floor_and_cap_of_their_own_day():
    market = a_market(40)
    dam = np.clip(market.dam_mcp * 2.4 - 4500, 0, CAP)  # touches both
    market = replace(market, dam_mcp=dam, rtm_mcp=np.clip(dam + 2 * market.rtm_mcp - 9000, 0, CAP))
    models = {market.dates[26]: model_of(market, market.dates[8:25])}
    caps = [
        {"effective_from": "2012-01-01", "cap_rs_per_mwh": CAP},
        {"effective_from": str(market.dates[35]), "cap_rs_per_mwh": 5000.0},
    ]
    rules = make_params(price_caps=caps, price_floor_rs_per_mwh=50.0).market
    for days, cap in ((slice(26, 35), CAP), (slice(35, 40), 5000.0)):
        expected = intraday.expected_days(models, market, market.dates[days], rules)
        assert np.nanmin(expected) == 50.0
        assert np.nanmax(expected) == cap


@pytest.mark.parametrize("n_blocks", [24, 96])
def test_features_of_all_gates_are_those_of_each_gate(n_blocks):
    market = a_market(14, n_blocks=n_blocks)
    starts = clock.session_starts(RULES, n_blocks)
    days = market.dates[[0, 3, 12]]
    for date in days:
        day = market.index_of(date)
        each = [intraday.features_at(market, day, first, RULES) for first in starts]
        together = intraday._rows_at(market, date, starts, RULES)
        np.testing.assert_allclose(together, pd.concat(each), rtol=1e-13)
    x, y = intraday.spread_training_set(market, days, RULES)
    hours = [(market.index_of(day), np.arange(market.index_of(day) % 3, 24, 3)) for day in days]
    gates = [(day, hour * n_blocks // 24) for day, found in hours for hour in found]
    each = [intraday.features_at(market, *gate, RULES) for gate in gates]
    pd.testing.assert_frame_equal(x, pd.concat(each, ignore_index=True), rtol=1e-13)
    spread = market.rtm_mcp - market.dam_mcp
    np.testing.assert_array_equal(y, np.concatenate([spread[day, first:] for day, first in gates]))


def test_refits_are_the_same_whatever_the_number_of_workers():
    market = a_market(40)
    splits = split_days(market, make_params(calibration_days=8, test_days=6).forecast)
    given = market, splits, make_params(retrain_every_days=5).forecast, RULES
    one, two = (intraday.walk_forward_spreads(*given, jobs) for jobs in (1, 2))
    assert list(one) == list(two)
    for first, model in one.items():
        assert model.model_to_string() == two[first].model_to_string()


def test_quantiles_are_the_same_whatever_the_number_of_workers():
    market = a_market(40)
    spreads = intraday.spread_training_set(market, market.dates[10:30], RULES)
    one, two = (intraday.train_quantiles(*spreads, PARAMS.forecast, jobs) for jobs in (1, 2))
    assert list(one) == list(two) == list(PARAMS.forecast.levels)
    for level, model in one.items():
        assert model.model_to_string() == two[level].model_to_string()


def test_models_are_kept_as_text_and_come_back_the_same(tmp_path):
    market, run = a_market(40), RunFolder(tmp_path)
    splits = split_days(market, make_params(calibration_days=8, test_days=6).forecast)
    every_week = make_params(retrain_every_days=7).forecast
    models = intraday.walk_forward_spreads(market, splits, every_week, RULES)
    contents.save_intraday(run, models)
    texts = sorted((tmp_path / "models" / "rtm").glob("intraday_*.txt"))
    assert [text.stem for text in texts] == [f"intraday_{day}" for day in models]
    assert all(text.read_text("utf-8").startswith("tree") for text in texts)
    one, two = (
        intraday.expected_days(m, market, splits.out_of_sample, RULES)
        for m in (models, contents.load_intraday(run))
    )
    np.testing.assert_array_equal(one, two)
    # a run anew in the same folder, with fewer refits, leaves no model of before behind
    contents.save_intraday(run, {day: models[day] for day in list(models)[:1]})
    assert list(contents.load_intraday(run)) == list(models)[:1]


def test_each_refit_sees_what_its_gate_knows_whole_and_each_day_has_the_latest():
    market = a_market(40)
    splits = split_days(market, make_params(calibration_days=8, test_days=6).forecast)
    days = splits.out_of_sample

    def texts(seen: Market, every: int) -> dict:
        forecast = make_params(retrain_every_days=every).forecast
        models = intraday.walk_forward_spreads(seen, splits, forecast, RULES)
        return {day: model.model_to_string() for day, model in models.items()}

    assert list(texts(market, 0)) == [days[0]]
    before = texts(market, 5)
    assert list(before) == [days[0], days[5], days[10]]
    assert len(set(before.values())) == 3
    at = market.index_of(days[5])
    seen = market.dates[market.index_of(splits.train[0]) : at - 1]  # from the oldest on
    assert before[days[5]] == model_of(market, seen).model_to_string()
    for day, moves in ((at - 2, [False, True, True]), (at - 1, [False, False, True])):
        rtm = market.rtm_mcp.copy()
        rtm[day] += 500 * np.arange(24)
        after = texts(with_rtm(market, rtm), 5)
        assert [after[first] != before[first] for first in before] == moves

    models = intraday.walk_forward_spreads(
        market, splits, make_params(retrain_every_days=5).forecast, RULES
    )
    fitted = list(models.values())
    used = [fitted.index(intraday.model_for(models, day)) for day in days]
    assert used == [0] * 5 + [1] * 5 + [2] * 4
    by_day = intraday.expected_days(models, market, days, RULES)
    for k, model in enumerate(fitted):
        alone = intraday.expected_days({days[0]: model}, market, days, RULES)
        mine = np.array(used) == k
        np.testing.assert_array_equal(by_day[mine], alone[mine])
        assert not np.array_equal(by_day[~mine], alone[~mine], equal_nan=True)
    with pytest.raises(DataError, match=f"fitted before {days[0] - 1}"):
        intraday.expected_days(models, market, days[[0]] - 1, RULES)


def test_without_any_spread_there_is_nothing_to_learn():
    market = a_market(12)
    no_rtm = Market(
        market.dates, market.dam_mcp, np.full((12, 24), np.nan), market.rtm_no_trade, {}, False
    )
    for days in (market.dates[8:], market.dates[:0]):
        with pytest.raises(DataError, match="no RTM price on any training day"):
            intraday.spread_training_set(no_rtm, days, RULES)


# ---------------------------------------------------------------------- fans


@pytest.mark.parametrize("n_blocks", [24, 96])
def test_a_price_after_the_gate_moves_no_quantile_and_one_before_does(n_blocks):
    market = a_market(40, n_blocks)
    models = quantiles_of(market, market.dates[8:20])
    starts, out_of_sample = clock.fan_starts(RULES, n_blocks), market.dates[20:]
    day = 36
    today = market.dates[[day]]

    def both(seen: Market, gate: int) -> np.ndarray:
        fans = intraday.quantile_days(models, seen, out_of_sample, starts, RULES)
        moved = recalibrated_days(fans, seen, today, RULES, PARAMS.forecast)
        return np.stack([fans.on(today).values[0, gate], moved.values[0, gate]])

    for gate in (0, len(starts) // 2, len(starts) - 1):
        latest = day * n_blocks + starts[gate] - clock.blocks_behind(RULES, n_blocks)
        before = both(market, gate)
        ahead = before[:, starts[gate] :]
        for places, may_move in (
            (slice(latest + 1, None), False),  # all that is not known, later days too
            (slice(latest + 1, latest + 2), False),  # the very next session
            (slice(latest, latest + 1), True),  # the last one that is known
        ):
            rtm = market.rtm_mcp.ravel().copy()
            rtm[places] += 3000
            after = both(with_rtm(market, rtm), gate)[:, starts[gate] :]
            assert (after == ahead).all() != may_move
            if may_move:
                assert (after != ahead).any(axis=(1, 2)).all()  # before and after the shifts
    rtm = market.rtm_mcp.copy()
    rtm[day - 2] += 3000  # wholly known to every gate of the day: its residuals count
    fans = intraday.quantile_days(models, market, out_of_sample, starts, RULES)
    found = [
        recalibrated_days(fans, seen, today, RULES, PARAMS.forecast).values
        for seen in (market, with_rtm(market, rtm))
    ]
    assert not np.array_equal(*found, equal_nan=True)


def test_a_fan_rises_within_floor_and_cap_over_the_blocks_that_are_left():
    market = a_market(40)
    dam = np.clip(market.dam_mcp * 2.4 - 4500, 0, CAP)  # touches both
    market = replace(market, dam_mcp=dam, rtm_mcp=np.clip(dam + 2 * market.rtm_mcp - 9000, 0, CAP))
    starts = clock.fan_starts(RULES, 24)
    assert starts.tolist() == list(range(0, 24, 2))
    models = quantiles_of(market, market.dates[8:20])
    fans = intraday.quantile_days(models, market, market.dates[20:], starts, RULES)
    moved = recalibrated_days(fans, market, market.dates[36:], RULES, PARAMS.forecast)
    assert fans.values.shape == (20, 12, 24, 5)
    assert fans.levels == PARAMS.forecast.levels
    assert moved.dates.tolist() == market.dates[36:].tolist()
    for made in (fans, moved):
        left = np.arange(24) >= starts[:, None]
        assert (np.isfinite(made.values).all(axis=3) == left).all()
        ahead = made.values[:, left]
        assert (np.diff(ahead, axis=-1) >= 0).all()
        assert ahead.min() == 0
        assert ahead.max() == CAP
        assert (np.diff(ahead, axis=-1) > 0).any()  # and it is a fan


def test_the_fan_is_the_dam_plus_the_quantiles_of_the_spread():
    """A spread of which nothing can be known: its quantiles are those of all spreads."""
    rng = np.random.default_rng(5)
    market = a_market(90)
    spread = rng.normal(300, 700, market.rtm_mcp.size)
    market = with_rtm(market, market.dam_mcp + spread.reshape(market.dam_mcp.shape))
    fans = intraday.quantile_days(
        quantiles_of(market, market.dates[8:80]), market, market.dates[80:], np.array([0]), RULES
    )
    found = (fans.values[:, 0] - market.dam_mcp[80:, :, None]).mean(axis=(0, 1))
    np.testing.assert_allclose(found, norm.ppf(fans.levels, 300, 700), atol=150)


def test_shifts_by_hand():
    """Two gates, and residuals that say of which day, quarter and distance they are."""
    n, starts, levels = 24, np.array([0, 12]), (0.25, 0.5, 0.75)
    market = a_market(6)
    ahead = np.arange(n) - starts[:, None]
    values = np.where(ahead >= 0, 3000.0 - 100 * ahead, np.nan)
    values = np.tile(values[None, :, :, None], (6, 1, 1, 3))
    day, quarter = 10.0 * np.arange(1, 7), np.repeat(np.arange(4), 6)
    rtm = 3000 + day[:, None] + 1000 * quarter
    fans = intraday.GateFans(market.dates, starts, levels, values)

    def shifts(calibration_days: int, seen: np.ndarray) -> np.ndarray:
        params = make_params(calibration_days=calibration_days, min_group_size=1).forecast
        found = recalibrated_days(fans, with_rtm(market, seen), market.dates[5:], RULES, params)
        return (found.values - values[5:])[0]

    # a residual is 10 (day) + 1000 quarter + 100 distance, and those of four days are known:
    # the 1st, 3rd and 4th of 4 are the order statistics of .25, .5 and .75
    expected = 1000 * quarter[:, None] + 100 * ahead[..., None] + np.array([10, 30, 40])
    expected = np.where(ahead[..., None] >= 0, expected, np.nan)
    np.testing.assert_allclose(shifts(24, rtm), expected)
    # the last three of them: the 1st, 2nd and 3rd of 3
    np.testing.assert_allclose(shifts(3, rtm), expected + np.array([10, 0, 0]))
    # without trade in the first hour of the first day, its 3 residuals there are 20, 30, 40
    idle = rtm.copy()
    idle[0, 0] = np.nan
    found = shifts(24, idle) - expected
    np.testing.assert_allclose(found[0, 0], [10, 0, 0])
    assert (found[0, 1:] == 0).all()


def test_where_a_distance_has_too_few_residuals_those_of_its_quarter_of_the_day_count():
    """Residuals of 10 (day) + 1000 quarter; a quarter has 24 or more, four hours of it fewer."""
    starts, levels = np.array([0, 12]), (0.25, 0.5, 0.75)
    market = a_market(6)
    left = np.arange(24) >= starts[:, None]
    values = np.tile(np.where(left, 3000.0, np.nan)[None, :, :, None], (6, 1, 1, 3))
    quarter = np.repeat(np.arange(4), 6)
    rtm = 3000 + 10.0 * np.arange(1, 7)[:, None] + 1000 * quarter
    fans = intraday.GateFans(market.dates, starts, levels, values)
    params = make_params(min_group_size=24).forecast
    seen = with_rtm(market, rtm)
    found = recalibrated_days(fans, seen, market.dates[5:], RULES, params)
    expected = 3000.0 + 1000 * quarter[:, None] + np.array([10, 30, 40])
    np.testing.assert_allclose(found.values[0, 0], expected)
    np.testing.assert_allclose(found.values[0, 1, 12:], expected[12:])


def test_a_wrong_fan_comes_back_to_its_levels():
    """Biased one way by day, the other by night, the more so the further ahead; too narrow."""
    rng = np.random.default_rng(3)
    n_days, n, levels = 160, 24, PARAMS.forecast.levels
    market = a_market(n_days)
    market = with_rtm(market, market.dam_mcp + rng.normal(0, 600, market.dam_mcp.shape))
    starts = clock.fan_starts(RULES, n)
    ahead = np.arange(n) - starts[:, None]
    bias = np.where(np.arange(n) < 12, 500, -500) * (1 + ahead / 12)
    wrong = (market.dam_mcp[:, None] + bias)[..., None] + norm.ppf(levels, 0, 300)
    wrong = np.where((ahead >= 0)[..., None], wrong, np.nan)
    fans = intraday.GateFans(market.dates, starts, levels, wrong)
    tested = market.dates[40:]
    found = recalibrated_days(fans, market, tested, RULES, PARAMS.forecast)
    y = market.rtm_mcp[40:, None]

    def off(made: np.ndarray, blocks: np.ndarray) -> float:
        """Furthest that the share below any level lies from it, over some blocks ahead."""
        seen = np.where(blocks, y, np.nan)
        by_day = seen.reshape(len(seen), -1), made.reshape(len(made), -1, len(levels))
        return np.abs(coverage(*by_day)[0] - levels).max()

    for blocks in (
        ahead >= 0,
        (ahead >= 0) & (np.arange(n) < 6),
        (ahead >= 0) & (np.arange(n) >= 18),
        (ahead >= 0) & (ahead < 1),
        ahead >= 8,
    ):
        assert off(found.values, blocks) < 0.05
    assert off(fans.on(tested).values, ahead >= 0) > 0.1
    assert off(fans.on(tested).values, (ahead >= 0) & (np.arange(n) >= 18)) > 0.3


def test_with_too_few_days_before_it_a_fan_is_not_recalibrated():
    market = a_market(12)
    starts = clock.fan_starts(RULES, 24)
    values = np.full((3, 12, 24, 5), 4000.0)
    fans = intraday.GateFans(market.dates[9:], starts, PARAMS.forecast.levels, values)
    with pytest.raises(DataError, match="0 residuals are too few"):
        recalibrated_days(fans, market, market.dates[10:11], RULES, PARAMS.forecast)
    with pytest.raises(DataError, match="no fan within the day of 2024-05-02"):
        fans.on(market.dates[[1, 10]])


def test_scores_by_distance_by_hand():
    levels, starts = (0.1, 0.5, 0.9), np.array([0, 20])
    ahead = np.arange(24) - starts[:, None]
    outcome = np.full((1, 24), 1000.0)
    outcome[0, 2] = np.nan  # no trade
    good = np.broadcast_to([900.0, 1000.0, 1100.0], (1, 2, 24, 3))
    late = np.where((ahead >= 3)[None, ..., None], good + 500, good)  # wrong from 3 h on
    found = score_by_distance(outcome, {"good": good, "late": late}, ahead, levels)
    assert found.index.tolist() == ["0 to 1 h", "1 to 3 h", "3 to 8 h", "beyond 8 h"]
    loss_good = (0.1 * 100 + 0 + 0.1 * 100) / 3
    loss_late = (0.9 * 400 + 0.5 * 500 + 0.1 * 600) / 3
    assert mean_pinball(outcome, good[:, 0], levels) == pytest.approx(loss_good)
    for score, fan, near, far in (
        ("pinball", "good", loss_good, loss_good),
        ("pinball", "late", loss_good, loss_late),
        ("inside", "good", 1, 1),
        ("inside", "late", 1, 0),
        ("miscoverage", "late", (0.1 + 0 + 0.1) / 3, (0.9 + 0.5 + 0.1) / 3),
    ):
        np.testing.assert_allclose(found[score, fan], [near, near, far, far])
    # each block counts once a gate: of 1 to 3 h, one of four blocks had no trade
    half = good.copy()
    half[0, 0, 1] += 500
    found = score_by_distance(outcome, {"half": half}, ahead, levels)
    assert found["inside", "half"].tolist() == pytest.approx([1, 2 / 3, 1, 1])


def test_the_quantile_models_are_kept_as_text_and_come_back_the_same(tmp_path):
    market = a_market()
    models = quantiles_of(market, market.dates[8:25])
    run, starts = RunFolder(tmp_path), clock.fan_starts(RULES, 24)
    with pytest.raises(MissingArtefactError, match="02_quantile_models"):
        contents.load_intraday_quantiles(run, tuple(models))
    contents.save_intraday_quantiles(run, models)
    kept = sorted(path.name for path in (tmp_path / "models" / "rtm").iterdir())
    assert kept == [f"intraday_q{level}.txt" for level in ("05", "25", "50", "75", "95")]
    one, two = (
        intraday.quantile_days(m, market, market.dates[26:], starts, RULES).values
        for m in (models, contents.load_intraday_quantiles(run, tuple(models)))
    )
    np.testing.assert_array_equal(one, two)
    with pytest.raises(
        MissingArtefactError, match=r"intraday_q33\.txt, which 02_quantile_models writes, is not"
    ):
        contents.load_intraday_quantiles(run, (0.33,))
