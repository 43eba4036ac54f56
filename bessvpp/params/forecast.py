"""Quantile models, their splits and recalibration."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, Strict, model_validator

from bessvpp.params.fields import Count, NonNegative, Number, Positive, Section, Seed, Share

OWN = ("own_quantiles", "own_paths")
"""Parameters that name files of a user's own forecasts."""


class LightGBMParams(Section):
    """Settings handed to LightGBM as they are."""

    learning_rate: Positive
    num_leaves: Annotated[int, Strict(), Field(ge=2)]
    min_data_in_leaf: Count
    feature_fraction: Annotated[Number, Field(gt=0, le=1)]
    bagging_fraction: Annotated[Number, Field(gt=0, le=1)]
    bagging_freq: Annotated[int, Strict(), Field(ge=0)]
    lambda_l2: NonNegative


class ForecastParams(Section):
    """Quantile models, their splits and their recalibration (``params/forecast.yaml``).

    ``own_quantiles`` and ``own_paths`` name files of a user's forecasts that stand in place of the
    models' and of the fan; a relative one starts at the project's root.
    """

    levels: Annotated[tuple[Annotated[Number, Field(gt=0, lt=1)], ...], Field(min_length=3)]
    n_estimators: Count
    lightgbm: LightGBMParams
    intraday_n_estimators: Count
    intraday_lightgbm: LightGBMParams
    model_seed: Seed
    warmup_days: Annotated[int, Strict(), Field(ge=7)]
    retrain_every_days: Annotated[int, Strict(), Field(ge=0)]
    train_window_days: Annotated[
        tuple[Annotated[int, Strict(), Field(ge=0)], ...], Field(min_length=1)
    ]
    calibration_days: Count
    test_days: Count
    recalibration: str
    recalibration_windows: Annotated[tuple[Count, ...], Field(min_length=1)]
    half_life_days: Positive
    recalibration_days: Count
    adaptive_steps: Annotated[tuple[Share, ...], Field(min_length=1)]
    group_step: Share
    min_group_size: Count
    own_quantiles: str = ""  # as older folders had it
    own_paths: str = ""  # as older folders had it

    @model_validator(mode="after")
    def _check(self) -> ForecastParams:
        if list(self.levels) != sorted(set(self.levels)):
            raise ValueError("levels must rise strictly")
        if 0.5 not in self.levels:
            raise ValueError("levels must include 0.5: the median policy and the plots need it")
        windows = self.train_window_days
        if len(set(windows)) < len(windows) or any(0 < days < 28 for days in windows):
            raise ValueError("train_window_days must differ, each 0 (all days) or at least 28")
        rolling = [f"rolling_{days}" for days in self.recalibration_windows]
        methods = ["auto", "static", *rolling, "rolling_mean", "exponential"]
        methods += ["adaptive", "aggregated", "group_adaptive", "none"]
        if self.recalibration not in methods:
            raise ValueError(f"recalibration must be one of {', '.join(methods)}")
        return self


def level_name(level: float) -> str:
    """Column and file name of a quantile level: 0.1 is ``q10``, 0.025 is ``q02.5``."""
    percent = f"{100 * level:.6f}".rstrip("0").rstrip(".")
    whole, _, part = percent.partition(".")
    return f"q{whole.zfill(2)}" + (f".{part}" if part else "")
