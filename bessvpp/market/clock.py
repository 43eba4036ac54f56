"""Gates, sessions and block starts: when what is decided and known, stated once."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd

from bessvpp.params.market import MarketParams


def day_of(features: pd.DataFrame) -> np.ndarray:
    """(N,) delivery day of each row."""
    return features["delivery_start"].dt.tz_localize(None).to_numpy().astype("datetime64[D]")


def gate_time(date: np.datetime64, gate_minutes: int) -> dt.datetime:
    """When DAM bids for a delivery date close: naive IST, on the day before."""
    day_before = date.astype("datetime64[D]").astype(dt.date) - dt.timedelta(days=1)
    return dt.datetime.combine(day_before, dt.time()) + dt.timedelta(minutes=gate_minutes)


def delivery_starts(date: np.datetime64, n_blocks: int) -> pd.DatetimeIndex:
    """Starts of a day's blocks, tz-aware IST."""
    minutes = 24 * 60 // n_blocks
    return pd.date_range(
        date.astype(dt.date), periods=n_blocks, freq=f"{minutes}min", tz="Asia/Kolkata"
    )


FAN_STEP_HOURS = 2
"""Fans are made at the gate of the first session of every second hour."""


def session_starts(rules: MarketParams, n_blocks: int) -> np.ndarray:
    """(G,) first block of each decision of a day: a session's, or a whole block's if longer."""
    minutes = 24 * 60 // n_blocks
    step = max(rules.rtm_session_minutes // minutes, 1)
    return np.arange(0, n_blocks, step)


def blocks_behind(rules: MarketParams, n_blocks: int) -> int:
    """Blocks from the latest known RTM price to the first one that is decided on.

    The gate closes ``rtm_gate_minutes`` before delivery. A block is known from the delivery
    start of the last session that it covers.
    """
    return blocks_between(rules.rtm_gate_minutes, rules.rtm_session_minutes, n_blocks)


def blocks_between(gate_minutes: int, session_minutes: int, n_blocks: int) -> int:
    """``blocks_behind`` by the minutes of a gate before delivery, and of a session."""
    minutes = 24 * 60 // n_blocks
    covered = (minutes - 1) // session_minutes * session_minutes
    if minutes < session_minutes:  # a session's later blocks are known with its first
        sessions = -(-gate_minutes // session_minutes)
        return (sessions - 1) * (session_minutes // minutes) + 1
    return -(-(gate_minutes + covered) // minutes)


def fan_starts(rules: MarketParams, n_blocks: int) -> np.ndarray:
    """(G,) first blocks of the gates that fans are made for."""
    starts = session_starts(rules, n_blocks)
    return starts[starts % (FAN_STEP_HOURS * n_blocks // 24) == 0]


TIME_ZONE = "Asia/Kolkata"


def is_sunday(dates: np.ndarray) -> np.ndarray:
    """Whether dates are Sundays; 1 January 1970 was a Thursday."""
    return (dates.astype("datetime64[D]").astype(int) + 4) % 7 == 0
