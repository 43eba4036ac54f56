"""What a backtest comes to: its rules, and the figures of each policy."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from typing import Any

import numpy as np
import pandas as pd

from bessvpp.backtest.policies import BASELINE
from bessvpp.backtest.simulate import CEILING, Backtest
from bessvpp.backtest.warranty import warranty_figures
from bessvpp.backtest.wear import wear_figures
from bessvpp.backtest.window import Window
from bessvpp.params.load import Params
from bessvpp.params.study import FanName
from bessvpp.risk import bootstrap_band, cvar
from bessvpp.settlement.day import AS_COMMITTED, CAUSAL, HINDSIGHT


def _also_causal(key: str) -> Any:
    """A figure whose hindsight key in the JSON is its field's name, and whose causal key this."""
    return field(metadata={CAUSAL: key})


@dataclass(frozen=True)
class WithRecourse:
    """A policy over all days with recourse in the RTM, causal or hindsight alike.

    The ceiling is one for both: both markets known. Net is that of the dispatch at RTM prices and
    of the position between the markets, ``closed_mwh`` of which are closed out against the DAM
    trade of the same block. In the JSON a key that does not say ``causal`` means hindsight.
    """

    net_rs: float = _also_causal("net_rs_causal")
    gain_over_nothing_rs: float = _also_causal("gain_over_nothing_causal_rs")
    capture: float | None = _also_causal("capture_causal")
    worst_day_rs: float = _also_causal("worst_day_causal_rs")
    cvar_rs: float = _also_causal("cvar_causal_rs")
    cycles_per_day: float = _also_causal("cycles_per_day_causal")
    dispatch_rs: float = _also_causal("dispatch_causal_rs")
    position_rs: float = _also_causal("position_causal_rs")
    closed_mwh_per_day: float = _also_causal("closed_mwh_per_day_causal")
    undelivered_mwh: float = _also_causal("undelivered_mwh_causal")
    midnight_short_days: int = _also_causal("midnight_short_days_causal")
    midnight_short_mwh: float = _also_causal("midnight_short_mwh_causal")
    midnight_short_cost_rs: float = _also_causal("midnight_short_cost_causal_rs")

    @classmethod
    def of(cls, days: DailyFigures, policy: str, way: str, alpha: float) -> WithRecourse:
        """The figures of a policy's days, measured against committing nothing alike."""
        net, total = days.net[way][policy], days.total_rs(way, policy)
        return cls(
            net_rs=total,
            gain_over_nothing_rs=total - days.total_rs(way, BASELINE),
            capture=_share(total, days.total_rs(HINDSIGHT, CEILING)),
            worst_day_rs=float(net.min()),
            cvar_rs=cvar(net.to_numpy(), alpha),
            cycles_per_day=float(days.flows["cycles"][way, policy]) / len(net),
            dispatch_rs=float(days.flows["dispatch_rs"][way, policy]),
            position_rs=total - float(days.flows["dispatch_rs"][way, policy]),
            closed_mwh_per_day=float(days.flows["closed_mwh"][way, policy]) / len(net),
            undelivered_mwh=float(days.flows["undelivered_mwh"][way, policy]),
            midnight_short_days=int(days.flows["midnight_short"][way, policy]),
            midnight_short_mwh=float(days.flows["midnight_short_mwh"][way, policy]),
            midnight_short_cost_rs=float(days.flows["midnight_short_cost_rs"][way, policy]),
        )

    @classmethod
    def keys(cls, way: str) -> dict[str, str]:
        """The JSON key of each field under a way of settling."""
        return {item.name: item.metadata.get(way, item.name) for item in fields(cls)}

    def as_json(self, way: str) -> dict[str, float | None]:
        """The figures under the keys of a way of settling, ``CAUSAL`` or ``HINDSIGHT``."""
        return {key: getattr(self, name) for name, key in self.keys(way).items()}


@dataclass(frozen=True)
class AsCommitted:
    """A policy over all days without any RTM trade; the ceiling is that of the DAM alone."""

    net_rs_dam_only: float
    capture_dam_only: float | None
    undelivered_mwh_dam_only: float
    dam_turns_per_day: float

    @classmethod
    def of(cls, days: DailyFigures, policy: str) -> AsCommitted:
        """The figures of a policy's days, or the ceiling's."""
        total = days.total_rs(AS_COMMITTED, policy)
        return cls(
            net_rs_dam_only=total,
            capture_dam_only=_share(total, days.total_rs(AS_COMMITTED, CEILING)),
            undelivered_mwh_dam_only=float(days.flows["undelivered_mwh"][AS_COMMITTED, policy]),
            dam_turns_per_day=float(days.flows["dam_turns"][AS_COMMITTED, policy]) / len(days.net),
        )


@dataclass(frozen=True)
class DailyFigures:
    """A backtest's days by settlement and policy.

    net : (D rows) net [Rs], a column a settlement and policy
    flows : cycles, energies and what was short at midnight, summed over all days, a row a
        settlement and policy; the cost of a short midnight is that day's cost of deviation
    """

    net: pd.DataFrame
    flows: pd.DataFrame

    @classmethod
    def of(cls, daily: pd.DataFrame) -> DailyFigures:
        """Those of ``Backtest.daily``, a row a policy, settlement and day."""
        net = daily.pivot_table(
            index="date", columns=["settlement", "policy"], values="net_rs", sort=False
        )
        short = daily["midnight_short_mwh"] > 0
        daily = daily.assign(
            midnight_short=short, midnight_short_cost_rs=daily["deviation_rs"].where(short, 0.0)
        )
        of_all = ["cycles", "undelivered_mwh", "dispatch_rs", "closed_mwh", "dam_turns"]
        of_all += ["midnight_short_mwh", "midnight_short", "midnight_short_cost_rs"]
        return cls(net, daily.groupby(["settlement", "policy"])[of_all].sum())

    def total_rs(self, way: str, policy: str) -> float:
        """Net of all days [Rs]."""
        return float(self.net[way][policy].sum())


def rules(window: Window) -> dict[str, object]:
    """What the figures of a backtest rest on, to be shown with every one of them."""
    params = window.params
    looked_at = int(window.market.looked_at(window.days).sum())
    told: dict[str, object] = {"own_forecasts": ", ".join(window.own), "days_looked_at": looked_at}
    return {name: value for name, value in told.items() if value} | {
        "first_day": str(window.days[0]),
        "last_day": str(window.days[-1]),
        "n_days": len(window.days),
        "battery": params.bess.in_words(),
        "block_minutes": window.market.block_minutes,
        "synthetic_market": window.market.is_synthetic,
        "commitment": params.backtest.commitment,
        "terminal": params.backtest.terminal,
        "midnight": params.backtest.midnight,
        "foresight": params.backtest.foresight,
        "unbacked_max_mwh_per_day": params.backtest.unbacked_max_mwh_per_day,
        "recourse": "hindsight: the day's RTM prices known"
        if window.expected_rtm is None
        else "causal: each session on what its gate knows; hindsight: the day's RTM known",
        "causal_recourse": params.backtest.recourse,
        "risk_aversion": params.risk.risk_aversion,
        "alpha": params.risk.alpha,
        "fee_dam_rs_per_mwh_traded": params.market.fee_dam_rs_per_mwh,
        "fee_rtm_rs_per_mwh_traded": params.market.fee_rtm_rs_per_mwh,
        "fee_flow_rs_per_mwh": params.market.fee_flow_rs_per_mwh,
        "scheduling_rs_per_day": params.market.scheduling_rs_per_day,
        "scheduling_rs_per_mwh_flow": params.market.scheduling_rs_per_mwh,
        "hurdle_dam_rs_per_mwh": params.market.hurdle_dam_rs_per_mwh,
        "hurdle_rtm_rs_per_mwh": params.market.hurdle_rtm_rs_per_mwh,
        "dsm_share_of_flow": params.market.dsm_share_of_flow,
        "wear_rs_per_mwh_discharged": [u.wear_rs_per_mwh_discharged for u in params.bess.units],
    }


def made_with(params: Params) -> dict[str, Any]:
    """The parameters that a backtest itself rests on, by section, as JSON.

    Those of the files that it read (how prices were read or made, models, scenarios) are those of
    the notebooks that wrote them; a notebook that is run by itself cannot know them.
    """
    reading = {"block_minutes", "column_names", "external"}
    reading |= {name for name in type(params.market).model_fields if name.startswith("synthetic")}
    sections = {"market", "bess", "backtest", "risk"}
    return params.model_dump(mode="json", include=sections, exclude={"market": reading})


def summarise(window: Window, backtest: Backtest, fan: FanName | None = None) -> dict[str, object]:
    """The backtest in one table: ``rules``, ``policies`` by name, and the ``parameters``.

    ``fan`` is the one to plan with (``contents.recorded_fan``), the last one by default.

    ``net_rs`` is with hindsight recourse, ``net_rs_causal`` with causal recourse, and
    ``net_rs_dam_only`` as committed. Both recourses are measured against one ceiling, as
    committed against that of the DAM alone. Causal figures are None where the window has no
    intraday forecasts, and for the ceiling. ``warranty`` and ``wear`` are
    there where a unit has a warranty, and ``wear`` with ``wear_by_depth``.
    """
    days, alpha = DailyFigures.of(backtest.daily), window.params.risk.alpha
    headline = CAUSAL if window.expected_rtm is not None else HINDSIGHT
    net = days.net[headline].drop(columns=CEILING, errors="ignore")
    planned = net.columns[net.columns.str.startswith("two_stage")]
    spent = {
        "warranty": warranty_figures(window, backtest),
        "wear": wear_figures(window, backtest),
    }
    return {
        "rules": rules(window),
        "parameters": made_with(window.params),
        "plan": f"two_stage_{fan or list(window.fans)[-1]}",
        "ceiling_gap_rs": {way: bound.gap.rs for way, bound in backtest.ceilings.items()},
        "ceiling_gap_least_rs": {
            way: bound.gap.least_rs for way, bound in backtest.ceilings.items()
        },
        "ceiling_across_midnights_rs": {
            way: bound.across_midnights_rs for way, bound in backtest.ceilings.items()
        },
        "days_times_alpha": len(window.days) * alpha,
        "policies": {name: _policy_figures(window, days, name) for name in days.net[HINDSIGHT]},
        "lead": {"settlement": headline} | _lead(net),
        "two_stage_over": {name: leads(net, name) for name in planned},
        **{name: figures for name, figures in spent.items() if figures},
    }


def _policy_figures(window: Window, days: DailyFigures, policy: str) -> dict[str, float | None]:
    """A policy's row of the table: every way of settling, and the year's worth of a MW."""
    alpha, bess = window.params.risk.alpha, window.params.bess
    power = min(sum(unit.p_max_mw for unit in bess.units), bess.connection_limit_mw)
    hindsight = WithRecourse.of(days, policy, HINDSIGHT, alpha)
    if (CAUSAL, policy) in days.net:
        causal = WithRecourse.of(days, policy, CAUSAL, alpha).as_json(CAUSAL)
    else:
        causal = dict.fromkeys(WithRecourse.keys(CAUSAL).values())
    alone = asdict(AsCommitted.of(days, policy))
    return {
        **hindsight.as_json(HINDSIGHT),
        **causal,
        "net_rs_dam_only": alone.pop("net_rs_dam_only"),
        "net_rs_per_mw_year": hindsight.net_rs / power / len(window.days) * 365,
        **alone,
    }


def _lead(net: pd.DataFrame) -> dict[str, object]:
    """The policy with the largest net, and its lead over each two-stage policy with a band.

    Parameters
    ----------
    net : a row a day, a column a policy [Rs]
    """
    best = net.sum().idxmax()
    planned = net.columns[net.columns.str.startswith("two_stage")].drop(best, errors="ignore")
    return {"policy": best, "over": leads(net[[best, *planned]], best)}


def leads(net: pd.DataFrame, policy: str) -> dict[str, dict[str, float]]:
    """How far a policy is ahead of each other one over all days, with paired bands [Rs].

    Parameters
    ----------
    net : a row a day, a column a policy [Rs]
    """
    return {
        str(other): paired(net[policy].to_numpy(), net[other].to_numpy())
        for other in net.columns.drop(policy)
    }


def paired(net_rs: np.ndarray, other_rs: np.ndarray) -> dict[str, float]:
    """Sum of (D,) nets less that of others on the same days, with its 90 % band [Rs]."""
    ahead = net_rs - other_rs
    low, high = bootstrap_band(ahead, lambda days: days.sum(axis=-1), np.random.default_rng(0))
    return {"ahead_rs": float(ahead.sum()), "low_rs": low, "high_rs": high}


def _share(part: float, whole: float) -> float | None:
    """Share of a ceiling; None where the ceiling is not above zero."""
    return part / whole if whole > 0 else None
