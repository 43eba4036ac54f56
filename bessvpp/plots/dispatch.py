"""Pictures of a day's plan."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from bessvpp.desk.plan import DayAheadPlan
from bessvpp.optimizer.problem import Plan
from bessvpp.plots.forecasts import shade_fan
from bessvpp.plots.style import (
    COLOURS,
    LAKH,
    NAMES,
    RUPEES,
    clock_axis,
    finished,
    hours_of_blocks,
    new_figure,
)
from bessvpp.prices import PriceScenarios
from bessvpp.runs.names import share_text, worst_share

# ---------------------------------------------------------------------- one day


def commitment(plan: Plan, scenarios: PriceScenarios, synthetic: bool) -> Figure:
    """DAM commitment of a day over the mean prices it was made for."""
    figure, axes = new_figure(2, 1, 4.8, sharex=True, height_ratios=(3, 2))
    n_blocks = len(plan.dam_mw)
    hours, width = hours_of_blocks(n_blocks), 24 / n_blocks
    colour = np.where(plan.dam_mw >= 0, COLOURS["discharge"], COLOURS["charge"])
    shown = {"width": width, "align": "edge", "color": colour, "label": "_committed, DAM"}
    axes[0, 0].bar(hours, plan.dam_mw, **shown)
    axes[0, 0].axhline(0, color="black", lw=0.8)
    axes[0, 0].set_ylabel("MW")
    axes[0, 0].set_title("DAM commitment: sale above, purchase below")
    means = {name: scenarios.weights @ getattr(scenarios, name) for name in ("dam", "rtm")}
    for market, mean in means.items():
        axes[1, 0].plot(hours, mean, color=COLOURS[market], lw=1.8, label=NAMES[market])
    axes[1, 0].set_title("Mean price of the scenarios")
    axes[1, 0].set_ylabel("Rs/MWh")
    axes[1, 0].yaxis.set_major_formatter(RUPEES)
    axes[1, 0].set_ylim(0, 1.35 * max(mean.max() for mean in means.values()))
    axes[1, 0].legend(ncols=2, loc="upper left")
    clock_axis(axes[1, 0])
    says = (
        f"What is committed day-ahead: up to {max(plan.dam_mw.max(), 0):,.0f} MW sold and up to "
        f"{max(-plan.dam_mw.min(), 0):,.0f} MW bought in a block, above the mean prices it was "
        "planned on."
    )
    return finished(figure, synthetic, says)


def day_ahead(planned: DayAheadPlan, synthetic: bool) -> Figure:
    """Tomorrow on one page: both fans, the bids, and the scenarios' profits without hindsight."""
    figure, axes = new_figure(2, 2, 6.2)
    n_blocks = len(planned.bid_mw)
    hours, width = hours_of_blocks(n_blocks), 24 / n_blocks
    for axis, market in zip(axes[0], ("dam", "rtm"), strict=True):
        shade_fan(axis, planned.quantiles[market], planned.levels, market)
        axis.set_title(f"{NAMES[market]}, {planned.date}")
    colour = np.where(planned.bid_mw >= 0, COLOURS["discharge"], COLOURS["charge"])
    axes[1, 0].bar(hours, planned.bid_mw, width=width, align="edge", color=colour)
    axes[1, 0].set_title("Bids: sale above, purchase below")
    axes[1, 0].set_ylabel("MW")
    clock_axis(axes[1, 0])
    profit_rs, weights = planned.causal_rs, planned.scenarios.weights
    axes[1, 1].hist(profit_rs / LAKH, bins=20, color=COLOURS["recalibrated"], alpha=0.6)
    axes[1, 1].axvline(weights @ profit_rs / LAKH, color="black")
    axes[1, 1].axvline(planned.causal_cvar_rs / LAKH, color="black", ls=":")
    axes[1, 1].set_title("Profit at the gates (dotted: CVaR)")
    axes[1, 1].set_xlabel("lakh Rs")
    axes[1, 1].set_ylabel("scenarios")
    says = (
        "Tomorrow: the fans of both markets, the bids, and what they may earn where each RTM "
        "session is traded on what its gate knows."
    )
    return finished(figure, synthetic, says)


def recourse_and_energy(
    plan: Plan, e_limits_mwh: tuple[float, float], e_target_mwh: float, synthetic: bool
) -> Figure:
    """RTM trade and stored energy in every scenario of a plan."""
    figure, axes = new_figure(1, 2, 3.6)
    n_blocks = len(plan.dam_mw)
    hours = hours_of_blocks(n_blocks)
    low, middle, high = np.quantile(plan.rtm_mw, [0.1, 0.5, 0.9], axis=0)
    look = {"color": COLOURS["rtm"]}
    band = {"step": "post", "alpha": 0.25, "lw": 0, "label": "_10 to 90 % of the scenarios"}
    axes[0, 0].fill_between(hours, low, high, **band, **look)
    axes[0, 0].step(hours, middle, where="post", lw=1.5, label="_median", **look)
    axes[0, 0].axhline(0, color="black", lw=0.8)
    axes[0, 0].set_title("RTM trade: median, 10 to 90 %")
    axes[0, 0].set_ylabel("MW, sale above")
    energy = plan.energy_mwh.sum(axis=1)
    ends = hours + 24 / n_blocks
    names = [f"_scenario {k}" for k in range(1, len(energy) + 1)]
    axes[0, 1].plot(ends, energy.T, color=COLOURS["dam"], lw=0.5, alpha=0.4, label=names)
    for limit in e_limits_mwh:
        axes[0, 1].axhline(limit, color="black", lw=1)
    axes[0, 1].axhline(e_target_mwh, color="black", lw=1, ls=":")
    axes[0, 1].set_title("Stored energy in every scenario")
    axes[0, 1].set_ylabel("MWh")
    axes[0, 1].set_ylim(0, e_limits_mwh[1] * 1.08)
    for axis in axes[0]:
        clock_axis(axis)
    says = (
        "What the second stage would trade in real time, the line its median and the band 80 % of "
        "the scenarios; and the stored energy, a line a scenario, between its limits and about the "
        "target (dotted)."
    )
    return finished(figure, synthetic, says)


def profit_distribution(
    profit_rs: np.ndarray, var_rs: float, cvar_rs: float, alpha: float, synthetic: bool
) -> Figure:
    """Histogram of a day's planned profits with mean, VaR and CVaR."""
    figure, axes = new_figure(1, 1, 3.2)
    axis = axes[0, 0]
    look = {"color": COLOURS["recalibrated"], "alpha": 0.6, "label": "_scenarios"}
    axis.hist(profit_rs / LAKH, bins=24, **look)
    marks = {
        f"CVaR {share_text(alpha)}": (cvar_rs, COLOURS["discharge"]),
        f"VaR {share_text(alpha)}": (var_rs, COLOURS["rtm"]),
        "mean": (profit_rs.mean(), "black"),
    }
    for label, (value, colour) in marks.items():
        text = f"{label}: {value / LAKH:,.2f}"
        axis.axvline(value / LAKH, color=colour, lw=2, label=text)
    axis.set_xlabel("profit of the day, lakh Rs")
    axis.set_ylabel("scenarios")
    figure.legend(ncols=3, loc="outside upper center")
    says = (
        f"Planned profits of the scenarios: {profit_rs.mean() / LAKH:,.2f} lakh Rs on average, "
        f"{cvar_rs / LAKH:,.2f} in {worst_share(alpha, 'them')}."
    )
    return finished(figure, synthetic, says)
