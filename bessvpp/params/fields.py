"""Kinds of values that parameters are made of."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, Strict

MINUTES_PER_DAY = 24 * 60


def parse_clock(value: object) -> int:
    """Minutes after midnight of a quoted clock time, ``"00:00"`` to ``"24:00"``."""
    if isinstance(value, int) and not isinstance(value, bool):
        raise ValueError('write the clock time in quotes, for example "11:00"')
    try:
        hours, minutes = (int(part) for part in str(value).split(":"))
    except ValueError:
        raise ValueError('is no clock time; write it as "HH:MM"') from None
    total = 60 * hours + minutes
    if not (0 <= minutes < 60 and 0 <= total <= MINUTES_PER_DAY):
        raise ValueError('is no clock time between "00:00" and "24:00"')
    return total


def clock_text(minutes: int) -> str:
    """Minutes after midnight as ``HH:MM``, the inverse of ``parse_clock``."""
    return f"{minutes // 60:02d}:{minutes % 60:02d}"


def block_clock(block: int, n_blocks: int) -> str:
    """Start of one of a day's blocks as ``HH:MM``; ``24:00`` is the end of the day."""
    return clock_text(int(block) * MINUTES_PER_DAY // n_blocks)


Number = Annotated[float, Strict(), Field(allow_inf_nan=False)]
Positive = Annotated[Number, Field(gt=0)]
NonNegative = Annotated[Number, Field(ge=0)]
Share = Annotated[Number, Field(ge=0, le=1)]
Count = Annotated[int, Strict(), Field(ge=1)]
Seed = Annotated[int, Strict(), Field(ge=0)]
Clock = Annotated[int, BeforeValidator(parse_clock)]


class Section(BaseModel):
    """Parameters that stand together: frozen, and refused where a key is unknown."""

    model_config = ConfigDict(frozen=True, extra="forbid")
