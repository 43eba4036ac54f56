"""How scenarios are drawn, days planned and settled, and risk weighed."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, Strict, model_validator

from bessvpp.params.fields import Count, NonNegative, Number, Positive, Section, Seed, Share
from bessvpp.risk import Risk

CommitmentRule = Literal["physical", "financial"]
TerminalRule = Literal["hard", "free", "value"]
MidnightRule = Literal["plan", "own"]
RecourseName = Literal["dynamic", "expected"]
SolverName = Literal["engine", "highs", "cbc"]
FanName = Literal["original", "recalibrated"]
PolicyName = Literal[
    "nothing_committed",
    "fixed_windows",
    "yesterday",
    "seven_day_mean",
    "typical_day",
    "median",
    "mean",
    "two_stage",
]


class ScenarioParams(Section):
    """The joint DAM and RTM fan (``params/scenarios.yaml``).

    ``dependence``: ``copula`` draws correlated normal scores, ``similar_days`` orders the draws
    as similar past days did (Schaake shuffle). The correlation is estimated anew every
    ``correlation_every_days``, 0: once, for the first day drawn.
    """

    dependence: Literal["copula", "similar_days"]
    n_scenarios: Annotated[int, Strict(), Field(ge=2)]
    seed: Seed
    gibbs_sweeps: Count
    correlation_every_days: Annotated[int, Strict(), Field(ge=0)] = 0  # as older folders had it


class DepthWear(Section):
    """Wear of a cycle of some depth, a share of the nameplate energy, for each MWh discharged."""

    depth: Annotated[Number, Field(gt=0, le=1)]
    rs_per_mwh_discharged: NonNegative


class BacktestParams(Section):
    """How days are planned and settled (``params/backtest.yaml``).

    ``midnight`` says what a physical DAM schedule may count on for the energy that the next one
    starts from: ``own``, what it would leave by itself; ``plan``, what the plan as a whole
    expects, RTM trades included (the target under ``hard``), so that it may end anywhere.
    ``foresight`` is the share of the RTM's surprises that the second stage of a plan counts on.
    ``unbacked_max_mwh_per_day`` bounds what a plan sells or buys in the DAM without running it in
    the same block, in each scenario; the rest is a position between the markets.
    ``recourse`` is how the RTM is traded causally: ``expected``, quantities that are best on
    expected prices; ``dynamic``, quantities by price that count with surprises.
    ``wear_by_depth`` is a table of wear, depths rising, of all units: what realised cycles cost by
    it is told beside the flat wear that is booked. It is in no objective and in no ledger.
    """

    commitment: CommitmentRule
    terminal: TerminalRule
    midnight: MidnightRule = "own"  # what parameter folders without it were planned by
    recourse: RecourseName = "expected"  # what parameter folders without it were settled by
    policies: Annotated[tuple[PolicyName, ...], Field(min_length=1)]
    fan: Literal["original", "recalibrated", "both"]
    foresight: Share = 1.0  # what parameter folders without it were planned by
    unbacked_max_mwh_per_day: NonNegative | None = None
    wear_by_depth: tuple[DepthWear, ...] = ()
    solver: SolverName
    solver_time_limit_s: Positive

    @model_validator(mode="after")
    def _check(self) -> BacktestParams:
        depths = [point.depth for point in self.wear_by_depth]
        if depths != sorted(set(depths)):
            raise ValueError(f"wear_by_depth: depths must rise strictly, has {depths}")
        return self

    @property
    def fans(self) -> tuple[FanName, ...]:
        """The fans that ``fan`` names."""
        return ("original", "recalibrated") if self.fan == "both" else (self.fan,)


class RiskParams(Section):
    """How risk is weighed (``params/risk.yaml``).

    ``alpha`` is the tail share, ``risk_aversion`` the lambda of plans and policies, ``lambdas``
    are those of the frontier.
    """

    alpha: Annotated[Number, Field(gt=0, le=1)]
    risk_aversion: NonNegative
    lambdas: Annotated[tuple[NonNegative, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _check(self) -> RiskParams:
        if list(self.lambdas) != sorted(set(self.lambdas)):
            raise ValueError("lambdas must rise strictly")
        return self

    @property
    def risk(self) -> Risk:
        """What plans and policies weigh."""
        return Risk(self.risk_aversion, self.alpha)
