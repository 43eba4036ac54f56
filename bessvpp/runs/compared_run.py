"""A run as it is compared: its backtest, what it was made with, its data.

What it was made with is what its manifest says where the manifest's run wrote the backtest, else
(a notebook run by itself) what ``06_backtest`` wrote beside its figures.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bessvpp.errors import DataError, MissingArtefactError, RunError
from bessvpp.market.history import Market
from bessvpp.risk import cvar
from bessvpp.runs.folder import RunFolder
from bessvpp.runs.headline import market_in_words, promise_misses
from bessvpp.runs.manifest import artefacts_of, read_manifest
from bessvpp.runs.parameter_names import flat_parameters

WRITER, SUMMARY = "06_backtest", "backtest_summary.json"
NOTHING = "nothing_committed"
UNFINISHED = ("running", "failed", "outdated")


@dataclass(frozen=True)
class ComparedRun:
    """What is compared of a run.

    name : the end of its folder's path, as long as it needs to be another than the others'
    parameters : value by place, such as ``bess.units.BESS-1.p_max_mw``
    net_rs : (D rows) net [Rs] by policy, settled as the run's headline is
    e_end_mwh : stored when the last day of the ``plan`` ends
    realised : DAM and RTM prices of the settled days [Rs/MWh], (2, D, T)
    frontier : points of the plan's fan, by lambda; none where 07 has not run
    promise_missed : mean distance of the plan's fan from what its levels promise; None unknown
    """

    name: str
    folder: Path
    data: Mapping[str, str]
    parameters: Mapping[str, Any]
    summary: Mapping[str, Any]
    net_rs: pd.DataFrame
    e_end_mwh: float
    realised: np.ndarray
    frontier: Mapping[float, Mapping[str, float]]
    promise_missed: float | None

    @property
    def plan(self) -> str:
        """The policy that the run would plan with."""
        return str(self.summary["plan"])

    @property
    def way(self) -> str:
        """How its days are settled, such as ``with causal recourse``."""
        return str(self.summary["lead"]["settlement"])

    @property
    def alpha(self) -> float:
        """Tail share of its CVaR."""
        return float(self.summary["rules"]["alpha"])

    def figures(self) -> dict[str, float | None]:
        """What its plan earned and promised a day [Rs], and how the battery was used."""
        net = self.net_rs[self.plan]
        own = self.summary["policies"][self.plan]
        over_nothing = net - self.net_rs[NOTHING] if NOTHING in self.net_rs else None
        causal = "_causal" if "causal" in self.way else ""
        point = self.frontier.get(float(self.summary["rules"]["risk_aversion"]), {})
        nameplate = [v for k, v in self.parameters.items() if k.endswith(".e_nameplate_mwh")]
        return {
            "mean_rs": float(net.mean()),
            "cvar_rs": cvar(net.to_numpy(), self.alpha),
            "worst_day_rs": float(net.min()),
            "gain_over_nothing_rs": None if over_nothing is None else float(over_nothing.mean()),
            "capture": own.get(f"capture{causal}"),
            "cycles_per_day": own.get(f"cycles_per_day{causal}"),
            "mean_rs_per_mwh_nameplate": float(net.mean()) / sum(nameplate) if nameplate else None,
            "e_end_mwh": self.e_end_mwh,
            "planned_mean_rs": point.get("planned_mean_rs"),
            "promise_missed": self.promise_missed,
        }


def read_run(folder: Path, name: str) -> ComparedRun:
    """A run as it is compared; the errors are those of ``compare.compare``."""
    if not folder.is_dir():
        raise RunError(f"{folder}: no such run; python -m bessvpp run makes one")
    run, manifest = RunFolder(folder), read_manifest(folder) or {}
    entry = manifest.get("notebooks", {}).get(WRITER, {"status": "pending"})
    for status in (manifest.get("status"), entry["status"]):
        if status in UNFINISHED:
            raise RunError(
                f"{folder}: the run is {status}, and finished runs alone are compared: "
                "let it end, or run it again"
            )
    try:
        summary, daily = run.read_json(SUMMARY), run.read_frame("backtest_daily.parquet")
        recorded = entry.get("artefacts") or {}
        is_runners = bool(recorded) and recorded.items() <= artefacts_of(WRITER, folder).items()
        market = Market.from_frame(run.read_frame("market.parquet"))
        plan, way = str(summary["plan"]), str(summary["lead"]["settlement"])
        settled = daily[daily["settlement"] == way]
        net = settled.pivot(index="date", columns="policy", values="net_rs")
        net = net[[policy for policy in summary["policies"] if policy in net]]
        rows = [market.index_of(np.datetime64(date)) for date in net.index]
        return ComparedRun(
            name=name,
            folder=folder,
            data=_data(run, manifest if is_runners else {}, market, net.index),
            parameters=_parameters(folder, manifest if is_runners else {}, summary),
            summary=summary,
            net_rs=net,
            e_end_mwh=float(
                settled[settled["policy"] == plan].sort_values("date")["e_end_mwh"].iloc[-1]
            ),
            realised=np.array([market.dam_mcp[rows], market.rtm_mcp[rows]]),
            frontier=_frontier(run, plan.removeprefix("two_stage_")),
            promise_missed=_promise_missed(run, plan.removeprefix("two_stage_")),
        )
    except (KeyError, IndexError, ValueError, TypeError) as error:
        raise DataError(
            f"{folder / SUMMARY}: not as expected ({error!r}); run {WRITER} again"
        ) from None


def _parameters(
    folder: Path, manifest: Mapping[str, Any], summary: Mapping[str, Any]
) -> dict[str, Any]:
    if manifest:
        versions = {"version": manifest.get("versions") or {}}
        return flat_parameters(manifest["parameters"]["sections"] | versions)
    if "parameters" not in summary:
        raise MissingArtefactError(
            f"{folder / SUMMARY} does not say which parameters it was made with: run {WRITER} first"
        )
    return flat_parameters(summary["parameters"])


def _data(
    run: RunFolder, manifest: Mapping[str, Any], market: Market, days: pd.Index
) -> dict[str, str]:
    """Source, days and hashes, each as it is shown; a dash where nothing says it."""
    prices = hashlib.sha256(market.dates.astype("M8[D]").astype(int).tobytes())
    for values in (market.dam_mcp, market.rtm_mcp):
        prices.update(np.ascontiguousarray(values, dtype="<f8").tobytes())
    git = manifest.get("git") or {}
    fans = {}
    for fan in ("original", "recalibrated"):
        path = run.path / f"scenarios_{fan}.npz"
        fans[fan] = hashlib.sha256(path.read_bytes()).hexdigest()[:12] if path.exists() else "–"
    return {
        "market": "synthetic" if market.is_synthetic else "exchange data",
        "source": market_in_words(manifest) if manifest.get("data") else "–",
        "prices_first_day": str(market.dates[0]),
        "prices_last_day": str(market.dates[-1]),
        "prices_sha256": prices.hexdigest()[:12],
        "block_minutes": str(market.block_minutes),
        "settled_first_day": str(days[0]),
        "settled_last_day": str(days[-1]),
        "settled_days": str(len(days)),
        "fan_original_sha256": fans["original"],
        "fan_recalibrated_sha256": fans["recalibrated"],
        "commit": str(git.get("commit") or "–")[:12] + (" (edited)" * bool(git.get("dirty"))),
    }


def _frontier(run: RunFolder, fan: str) -> dict[float, Mapping[str, float]]:
    if not (run.path / "frontier.json").exists():
        return {}
    points = run.read_json("frontier.json")["fans"].get(fan, [])
    return {float(point["lambda"]): point for point in points}


def _promise_missed(run: RunFolder, fan: str) -> float | None:
    if not (run.path / "coverage.json").exists():
        return None
    markets = run.read_json("coverage.json").values()
    misses = [miss for fans in markets for miss in promise_misses(fans.get(fan, {})).values()]
    return float(np.mean(misses)) if misses else None
