"""What a backtest comes to: its rules, and the figures of each policy."""

from __future__ import annotations

import numpy as np
import pandas as pd

from bessvpp.backtest.policies import BASELINE
from bessvpp.backtest.simulate import CEILING, Backtest
from bessvpp.backtest.window import Window
from bessvpp.risk import bootstrap_band, cvar
from bessvpp.settlement.day import AS_COMMITTED, CAUSAL, HINDSIGHT

RECOURSE_KEYS = {  # the same seven figures, see _recourse_figures
    HINDSIGHT: (
        "net_rs",
        "gain_over_nothing_rs",
        "capture",
        "worst_day_rs",
        "cvar_rs",
        "cycles_per_day",
        "undelivered_mwh",
    ),
    CAUSAL: (
        "net_rs_causal",
        "gain_over_nothing_causal_rs",
        "capture_causal",
        "worst_day_causal_rs",
        "cvar_causal_rs",
        "cycles_per_day_causal",
        "undelivered_mwh_causal",
    ),
}


def rules(window: Window) -> dict[str, object]:
    """What the figures of a backtest rest on, to be shown with every one of them."""
    params = window.params
    return {
        "first_day": str(window.days[0]),
        "last_day": str(window.days[-1]),
        "n_days": len(window.days),
        "block_minutes": window.market.block_minutes,
        "synthetic_market": window.market.is_synthetic,
        "commitment": params.backtest.commitment,
        "terminal": params.backtest.terminal,
        "recourse": "hindsight: the day's RTM prices known"
        if window.expected_rtm is None
        else "causal: each session on what its gate knows; hindsight: the day's RTM known",
        "risk_aversion": params.backtest.risk_aversion,
        "alpha": params.cvar.alpha,
        "fee_dam_rs_per_mwh_traded": params.market.fee_dam_rs_per_mwh,
        "fee_rtm_rs_per_mwh_traded": params.market.fee_rtm_rs_per_mwh,
        "fee_flow_rs_per_mwh": params.market.fee_flow_rs_per_mwh,
        "scheduling_rs_per_day": params.market.scheduling_rs_per_day,
        "scheduling_rs_per_mwh_flow": params.market.scheduling_rs_per_mwh,
        "dsm_share_of_flow": params.market.dsm_share_of_flow,
        "wear_rs_per_mwh_discharged": [u.wear_rs_per_mwh_discharged for u in params.bess.units],
    }


def summarise(window: Window, backtest: Backtest) -> dict[str, object]:
    """The backtest in one table: ``rules``, and ``policies`` by name.

    ``net_rs`` is with hindsight recourse, ``net_rs_causal`` with causal recourse, and
    ``net_rs_dam_only`` as committed. Both recourses are measured against one ceiling, as
    committed against that of the DAM alone. Causal figures are None where the window has no
    intraday forecasts, and for the ceiling.
    """
    alpha, n_days = window.params.cvar.alpha, len(window.days)
    power = min(
        sum(unit.p_max_mw for unit in window.params.bess.units),
        window.params.bess.connection_limit_mw,
    )
    daily = backtest.daily
    net = daily.pivot_table(
        index="date", columns=["settlement", "policy"], values="net_rs", sort=False
    )
    best = {way: float(net[way][CEILING].sum()) for way in (HINDSIGHT, AS_COMMITTED)}
    flows = daily.groupby(["settlement", "policy"])[["cycles", "undelivered_mwh"]].sum()
    table = {}
    for name in net[HINDSIGHT]:
        alone = float(net[AS_COMMITTED][name].sum())
        figures: dict[str, float | None] = {}
        for way, keys in RECOURSE_KEYS.items():
            figures |= dict.fromkeys(keys)
            if (way, name) in net:
                days, nothing, flow = net[way][name], net[way][BASELINE], flows.loc[way, name]
                found = _recourse_figures(days, nothing, best[HINDSIGHT], flow, alpha)
                figures |= dict(zip(keys, found, strict=True))
        table[name] = figures | {
            "net_rs_dam_only": alone,
            "net_rs_per_mw_year": figures["net_rs"] / power / n_days * 365,
            "capture_dam_only": _share(alone, best[AS_COMMITTED]),
            "undelivered_mwh_dam_only": float(flows["undelivered_mwh"][AS_COMMITTED, name]),
        }
    headline = CAUSAL if window.expected_rtm is not None else HINDSIGHT
    return {
        "rules": rules(window),
        "ceiling_gap_rs": dict(backtest.ceiling_gap_rs),
        "days_times_alpha": n_days * alpha,
        "policies": table,
        "lead": {"settlement": headline}
        | _lead(net[headline].drop(columns=CEILING, errors="ignore")),
    }


def _recourse_figures(
    net: pd.Series, nothing: pd.Series, ceiling_rs: float, flow: pd.Series, alpha: float
) -> tuple[float | None, ...]:
    """Net, gain over nothing, capture, worst day and CVaR [Rs], cycles a day, undelivered MWh.

    Parameters
    ----------
    net, nothing : (D,) of the policy and of committing nothing, under the same recourse
    flow : ``cycles`` and ``undelivered_mwh`` of all days
    """
    total = float(net.sum())
    return (
        total,
        total - float(nothing.sum()),
        _share(total, ceiling_rs),
        float(net.min()),
        cvar(net.to_numpy(), alpha),
        float(flow["cycles"]) / len(net),
        float(flow["undelivered_mwh"]),
    )


def _lead(net: pd.DataFrame) -> dict[str, object]:
    """The policy with the largest net, and its lead over each two-stage policy with a band.

    Parameters
    ----------
    net : a row a day, a column a policy [Rs]
    """
    best = net.sum().idxmax()
    over = {}
    for name in net.columns[net.columns.str.startswith("two_stage")].drop(best, errors="ignore"):
        ahead = (net[best] - net[name]).to_numpy()
        low, high = bootstrap_band(ahead, np.sum, np.random.default_rng(0))
        over[name] = {"ahead_rs": float(ahead.sum()), "low_rs": low, "high_rs": high}
    return {"policy": best, "over": over}


def _share(part: float, whole: float) -> float | None:
    """Share of a ceiling; None where the ceiling is not above zero."""
    return part / whole if whole > 0 else None
