"""Runs are held against the first of them: what differs, and bands of days in pairs."""

import json
from dataclasses import replace

import numpy as np
import pytest
from compare_cases import PLAN, write_backtest
from small_cases import UNIT, make_params

from bessvpp.errors import DataError, MissingArtefactError, ParameterError, RunError
from bessvpp.market.history import Market
from bessvpp.runs.compare import compare, short_names
from bessvpp.runs.manifest import artefacts_of

LAKH = 1e5


def manifest_for(run, status="complete", backtest="complete", sections=None):
    """A manifest whose run wrote what lies in the folder, or is at work on it."""
    entry = {"status": backtest, "artefacts": artefacts_of("06_backtest", run.path)}
    run.write_json(
        "manifest.json",
        {
            "schema": 1,
            "status": status,
            "parameters": {"sections": sections or make_params(alpha=0.5).model_dump(mode="json")},
            "data": {"source": "/somewhere/prices.csv", "sha256": "c0ffee" * 10},
            "git": {"commit": "abcdef0123456789", "dirty": True},
            "versions": {"numpy": "2.4.6"},
            "notebooks": {"06_backtest": entry},
        },
    )


def test_a_paired_difference_is_that_of_the_days_and_its_band_that_of_their_draws(tmp_path):
    one = write_backtest(tmp_path / "one", [4, 7]).path
    two = write_backtest(tmp_path / "two", [5, 10]).path
    (pair,) = compare([one, two]).pairs
    # Two days are drawn in blocks of one: both the first (a chance of 1/4), both the second
    # (1/4), or one of each, so 5 and 95 % of the mean are the days' own differences, +1 and +3.
    assert (pair.mean.difference_rs, pair.mean.low_rs, pair.mean.high_rs) == pytest.approx(
        (2 * LAKH, 1 * LAKH, 3 * LAKH)
    )
    # The tail of a half is the worse of two drawn days: 5 against 4, 10 against 7, 5 against 4.
    assert (pair.cvar.difference_rs, pair.cvar.low_rs, pair.cvar.high_rs) == pytest.approx(
        (1 * LAKH, 1 * LAKH, 3 * LAKH)
    )
    assert (pair.n_days, pair.mean.verdict, pair.why_not) == (2, "ahead", "")


def test_a_lead_that_never_changes_has_no_band_however_much_the_days_do(tmp_path):
    nets = [1.0, 9.0, 2.0, 30.0, 4.0]
    one = write_backtest(tmp_path / "one", nets).path
    two = write_backtest(tmp_path / "two", [net - 0.5 for net in nets]).path
    (pair,) = compare([one, two]).pairs
    for band in (pair.mean, pair.cvar):
        assert (band.difference_rs, band.low_rs, band.high_rs) == pytest.approx((-0.5 * LAKH,) * 3)
    assert pair.mean.verdict == "behind"


def test_figures_are_those_of_the_plans_own_days(tmp_path):
    one = write_backtest(tmp_path / "one", [4, 2, 6, 8]).path
    two = write_backtest(tmp_path / "two", [4, 2, 6, 8], plan="two_stage_recalibrated").path
    found = compare([one, two])
    assert found.figures == {
        "mean_rs": (5 * LAKH, 5 * LAKH),
        "cvar_rs": (3 * LAKH, 3 * LAKH),  # the worse half of the days: 2 and 4
        "worst_day_rs": (2 * LAKH, 2 * LAKH),
        "gain_over_nothing_rs": (4 * LAKH, 4 * LAKH),
        "capture": (0.5, 0.5),
        "cycles_per_day": (1.25, 1.25),
        "mean_rs_per_mwh_nameplate": (2500.0, 2500.0),  # 5 lakh by 200 MWh
        "e_end_mwh": (77.0, 77.0),
        "planned_mean_rs": (None, None),
        "promise_missed": (None, None),
    }
    assert found.policies == {
        "nothing_committed": (LAKH, LAKH),
        PLAN: (5 * LAKH, None),
        "two_stage_recalibrated": (None, 5 * LAKH),
        "ceiling": (3 * LAKH, 3 * LAKH),
    }
    (pair,) = found.pairs
    assert pair.mean.difference_rs == 0
    assert pair.mean.verdict == "open"


def test_the_ceiling_of_a_day_is_over_each_runs_own_days(tmp_path):
    """12 lakh Rs over 2 days and over 3."""
    one = write_backtest(tmp_path / "one", [4, 2]).path
    two = write_backtest(tmp_path / "two", [4, 2, 6]).path
    assert compare([one, two]).policies["ceiling"] == (6 * LAKH, 4 * LAKH)


def test_energy_left_is_that_of_the_last_day_whatever_the_order_of_rows(tmp_path):
    one, two = (write_backtest(tmp_path / name, [4, 2, 6]) for name in ("one", "two"))
    daily = one.read_frame("backtest_daily.parquet")
    place = daily["date"].rank(method="dense")
    is_plan = daily["policy"] == PLAN
    daily["e_end_mwh"] = np.where(is_plan, 10.0 * place, 5.0)
    one.write_frame("backtest_daily.parquet", daily.iloc[::-1])
    assert compare([one.path, two.path]).figures["e_end_mwh"] == (30.0, 77.0)


def test_days_at_other_rtm_prices_alone_are_not_paired(tmp_path):
    one, two = (write_backtest(tmp_path / name, [4, 7]) for name in ("one", "two"))
    market = Market.from_frame(two.read_frame("market.parquet"))
    dearer = replace(market, rtm_mcp=market.rtm_mcp + 1.0)
    two.write_frame("market.parquet", dearer.to_frame())
    (pair,) = compare([one.path, two.path]).pairs
    assert pair.why_not == "the same dates at other prices"


def test_what_was_planned_and_promised_is_read_where_it_is_there(tmp_path):
    one, two = (write_backtest(tmp_path / name, [4, 7]) for name in ("one", "two"))
    points = [{"lambda": 0.3, "planned_mean_rs": 6e5}, {"lambda": 2.0, "planned_mean_rs": 5e5}]
    one.write_json("frontier.json", {"fans": {"original": points, "recalibrated": []}})
    levels = {
        "q10": {"below": 0.08, "promised": 0.09},
        "q90": {"below": 0.93, "promised": 0.90},
    }
    one.write_json("coverage.json", {"dam": {"original": levels}, "rtm": {"original": levels}})
    found = compare([one.path, two.path])
    assert found.figures["planned_mean_rs"] == (6e5, None)
    assert found.figures["promise_missed"] == (pytest.approx(0.02), None)
    assert list(found.runs[0].frontier) == [0.3, 2.0]


def test_parameters_that_differ_are_named_by_their_place_and_others_are_not(tmp_path):
    one = write_backtest(tmp_path / "one", [4, 7]).path
    small = UNIT | {"e_nameplate_mwh": 190.0}
    two = write_backtest(tmp_path / "two", [4, 7], units=[small], dam_gate="10:30").path
    assert compare([one, two]).parameters == {
        "market.dam_gate": (660, 630),
        "bess.units.A.e_nameplate_mwh": (200.0, 190.0),
    }


def test_what_the_runner_wrote_is_known_by_its_manifest_and_what_it_did_not_by_itself(tmp_path):
    one, two = (write_backtest(tmp_path / name, [4, 7]) for name in ("one", "two"))
    more = make_params(alpha=0.5, n_scenarios=9).model_dump(mode="json")
    manifest_for(one)
    manifest_for(two, sections=more)
    found = compare([one.path, two.path])
    assert found.parameters == {"scenarios.n_scenarios": (6, 9)}
    assert found.data["source"] == ("prices.csv (sha256 c0ffeec0ffee)",) * 2
    assert found.data["commit"] == ("abcdef012345 (edited)",) * 2
    write_backtest(two.path, [4, 8])  # by hand, over what the runner had written
    found = compare([one.path, two.path])
    assert found.parameters == {}  # nothing says how many scenarios there were
    assert found.data["source"][1] == "–"


@pytest.mark.parametrize(
    ("changes", "why_not"),
    [
        ({"first_day": "2024-03-06"}, "2 of its 3 and of the other's 3 are in both"),
        ({"market_seed": 1}, "the same dates at other prices"),
        (
            {"way": "with hindsight recourse"},
            "settled with hindsight recourse, the other with caus",
        ),
    ],
)
def test_other_days_other_prices_and_another_settlement_are_said_and_give_no_band(
    tmp_path, changes, why_not
):
    one = write_backtest(tmp_path / "one", [4, 7, 1]).path
    two = write_backtest(tmp_path / "two", [4, 7, 1], **changes).path
    (pair,) = compare([one, two]).pairs
    assert pair.mean is None
    assert pair.cvar is None
    assert why_not in pair.why_not


def test_tails_of_other_shares_are_not_paired(tmp_path):
    one = write_backtest(tmp_path / "one", [4, 7]).path
    two = write_backtest(tmp_path / "two", [4, 9], alpha=1.0).path
    (pair,) = compare([one, two]).pairs
    assert pair.mean.difference_rs == LAKH
    assert pair.cvar is None


@pytest.mark.parametrize(
    ("status", "backtest"),
    [("running", "pending"), ("failed", "complete"), ("partial", "outdated")],
)
def test_an_unfinished_run_is_refused(tmp_path, status, backtest):
    one, two = (write_backtest(tmp_path / name, [4, 7]) for name in ("one", "two"))
    manifest_for(two, status, backtest)
    told = status if status != "partial" else backtest
    with pytest.raises(RunError, match=rf"two: the run is {told}, and finished runs alone"):
        compare([one.path, two.path])


def test_what_is_no_run_is_refused_with_what_to_do(tmp_path):
    one = write_backtest(tmp_path / "one", [4, 7])
    with pytest.raises(ParameterError, match="two runs or more"):
        compare([one.path])
    with pytest.raises(ParameterError, match="one is given twice"):
        compare([one.path, tmp_path / "one" / ".." / "one"])
    with pytest.raises(RunError, match="none: no such run"):
        compare([one.path, tmp_path / "none"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(MissingArtefactError, match="run 01_features first"):
        compare([one.path, tmp_path / "empty"])
    for lacks, error in (("parameters", MissingArtefactError), ("plan", DataError)):
        two = write_backtest(tmp_path / "two", [4, 7])
        summary = two.read_json("backtest_summary.json")
        del summary[lacks]
        two.write_json("backtest_summary.json", summary)
        with pytest.raises(error, match="run 06_backtest"):
            compare([one.path, two.path])


def test_names_are_as_short_as_they_can_differ(tmp_path):
    paths = [tmp_path / "mine" / "quick", tmp_path / "yours" / "quick"]
    assert short_names(paths) == ["mine/quick", "yours/quick"]
    assert short_names([tmp_path / "a", tmp_path / "b"]) == ["a", "b"]


def test_all_of_it_is_plain_json(tmp_path):
    one = write_backtest(tmp_path / "one", [4, 7])
    two = write_backtest(tmp_path / "two", [5, 10], dam_gate="10:30")
    manifest_for(one)
    told = json.loads(json.dumps(compare([one.path, two.path]).as_json(), allow_nan=False))
    assert told["pairs"][0]["mean"]["difference_rs"] == pytest.approx(2 * LAKH)
    assert told["parameters"] == {"market.dam_gate": {"one": 660, "two": 630}}
    assert told["figures"]["mean_rs"] == {"one": 5.5 * LAKH, "two": 7.5 * LAKH}
    assert told["runs"]["two"] == {
        "folder": str(two.path),
        "plan": PLAN,
        "settled": "with causal recourse",
    }
