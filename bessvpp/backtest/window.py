"""The days that a backtest settles, and what it needs of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from bessvpp.compute.cache import NO_CACHE, Cache
from bessvpp.errors import DataError, ParameterError
from bessvpp.forecasting import intraday
from bessvpp.market.history import MARKETS, Market, week_mean, whole_days
from bessvpp.optimizer.energy_value import energy_values
from bessvpp.optimizer.foresight import foreseen
from bessvpp.optimizer.problem import EnergyValue, Problem, day_problem
from bessvpp.optimizer.surprise import SurpriseLaw
from bessvpp.params.load import Params
from bessvpp.prices import PriceScenarios
from bessvpp.runs import contents, own, own_said
from bessvpp.runs.contents import read_fan, read_forecasts
from bessvpp.runs.folder import RunFolder
from bessvpp.settlement.gate_law import surprise_law
from bessvpp.settlement.warranty import DAYS_BEHIND, needs_prices, warranty_prices


@dataclass(frozen=True)
class Window:
    """What a backtest needs of its days.

    ``days`` (D,) are settled; ``fans`` hold each day's scenarios, ``medians`` its sure path.
    ``expected_rtm`` (D, G, T) is what each gate within a day expects, see
    ``forecasting.intraday``; without it days are not settled causally. ``laws`` (D,) say how the
    RTM has strayed from that, by what the first gate of each day knows.
    Finished plans are kept in the ``cache``. ``own`` names a user's forecasts that the fans are
    or come from.
    """

    market: Market
    days: np.ndarray
    fans: Mapping[str, Sequence[PriceScenarios]]
    medians: Sequence[PriceScenarios]
    params: Params
    expected_rtm: np.ndarray | None = None
    laws: Sequence[SurpriseLaw] = ()
    cache: Cache = NO_CACHE
    own: tuple[str, ...] = ()

    def place_of(self, date: str) -> int:
        """Place of a settled day; ``ParameterError`` where it is none."""
        places = np.flatnonzero(self.days.astype(str) == date)
        if not len(places):
            raise ParameterError(
                f"date: {date!r} is not a settled test day; these run from {self.days[0]} to "
                f"{self.days[-1]}"
            )
        return int(places[0])

    def known_at_gate(self, day: int) -> Market:
        """The market as a policy may see it when it commits for a day."""
        rules = self.params.market
        return self.market.known_at_dam_gate(self.days[day], rules)

    def problem(self, e_start_mwh: np.ndarray, day: int | None = None) -> Problem:
        """Planning problem of a day from the energy planned for its midnight, (U,)."""
        problem = day_problem(self.params, self.market.block_hours, e_start_mwh)
        if day is None:
            return problem
        problem = replace(problem.on(self.days[day]), name=str(self.days[day]))
        return self._with_warranty_prices(problem, day)

    def _with_warranty_prices(self, problem: Problem, day: int) -> Problem:
        """A day's problem with the price of each unit's warranty, from what its gate knows."""
        bess = problem.bess
        if not needs_prices(bess):
            return problem
        known = whole_days(self.known_at_gate(day))[-DAYS_BEHIND:]

        def compute() -> dict[str, np.ndarray]:
            prices = warranty_prices(problem, known)
            return {"rs_per_mwh": np.array(prices, dtype=float)}  # NaN: it has none

        asked = ("warranty", bess, problem.costs.booked, problem.block_hours, known)
        prices = self.cache.arrays(asked, compute)["rs_per_mwh"].tolist()
        prices = [None if np.isnan(price) else price for price in prices]
        return replace(problem, bess=bess.with_warranty_prices(prices))

    def with_energy_value(self, problem: Problem, day: int) -> Problem:
        """A day's problem with V(e) from what its gate knows, under ``value``."""
        if problem.terminal != "value":
            return problem
        dam = self.expected_tomorrow(day)

        def compute() -> dict[str, np.ndarray]:
            values = energy_values(problem, dam)
            return {
                "slope_rs_per_mwh": np.stack([value.slope_rs_per_mwh for value in values]),
                "intercept_rs": np.stack([value.intercept_rs for value in values]),
            }

        dates = problem.dates if any(unit.outages for unit in problem.bess.units) else ()
        asked = (problem.bess, problem.costs, problem.block_hours, problem.solver, dam, dates)
        found = self.cache.arrays(asked, compute)
        pairs = zip(found["slope_rs_per_mwh"], found["intercept_rs"], strict=True)
        return replace(problem, energy_values=tuple(EnergyValue(*pair) for pair in pairs))

    def expected_tomorrow(self, day: int) -> np.ndarray:
        """(T,) DAM prices expected at a day's gate for the day after it."""
        return week_mean(self.known_at_gate(day))

    @property
    def days_are_independent(self) -> bool:
        """Whether every day is planned from the same energy, whatever the day before did."""
        return self.params.backtest.terminal == "hard"

    def planning_fan(self, fan: str, day: int) -> PriceScenarios:
        """A day's scenarios with their RTM as a plan's second stage counts on it."""
        return foreseen(self.fans[fan][day], self.params.backtest.foresight)

    def realised(self, day: int) -> PriceScenarios:
        """The day's prices as one sure path; NaN where the RTM saw no trade."""
        row = self.market.index_of(self.days[day])
        return PriceScenarios.single(self.market.dam_mcp[row], self.market.rtm_mcp[row])


def load_window(run: RunFolder, params: Params) -> Window:
    """The test days of a run, with the fans that the parameters name."""
    market = Market.from_frame(run.read_frame("market.parquet"))
    fans = {fan: read_fan(run, fan) for fan in params.backtest.fans}
    days = settled_days(market, np.array(list(next(iter(fans.values())))))
    of_days: dict[str, Sequence[PriceScenarios]] = {
        fan: [by_day[day] for day in days] for fan, by_day in fans.items()
    }
    if own_said.rests_on(run, "own_paths"):
        paths = zip(next(iter(of_days.values())), days, strict=True)
        each = [own.quantiles_of_paths(of_day, day, (0.5,)) for of_day, day in paths]
        medians = [np.vstack([of[name].level(0.5) for of in each]) for name in MARKETS]
    else:
        forecasts = read_forecasts(run, params.backtest.fans[-1], params.forecast.levels)
        medians = [forecasts[name].on(days).level(0.5) for name in MARKETS]
    return Window(
        market,
        days,
        of_days,
        [PriceScenarios.single(dam, rtm) for dam, rtm in zip(*medians, strict=True)],
        params,
        cache=Cache(run.path / "cache"),
        own=own_said.names_of(run),
    )


def with_expected_rtm(run: RunFolder, window: Window) -> Window:
    """The window with what a run's intraday model expects at every gate within its days.

    How far it has been off is learnt on the days before, all out of sample.
    """
    market, rules = window.market, window.params.market
    first = np.datetime64(run.read_json("models/splits.json")["first_out_of_sample_day"])
    before = market.dates[(market.dates >= first) & (market.dates < window.days[0])]
    dates = np.concatenate([before, window.days])
    expected = intraday.expected_days(contents.load_intraday(run), market, dates, rules)
    laws = [surprise_law(market, dates, expected, rules, day) for day in window.days]
    return replace(window, expected_rtm=expected[len(before) :], laws=laws)


def settled_days(market: Market, days: np.ndarray) -> np.ndarray:
    """Those of the days that have prices to settle at.

    Raises
    ------
    DataError
        where none is left.
    """
    kept = np.array([day for day in days if not market.excluded[market.index_of(day)]])
    if not len(kept):
        raise DataError("no test day has both DAM and RTM prices: there is nothing to settle")
    return kept
