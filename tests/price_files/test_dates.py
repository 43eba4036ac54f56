"""A date is understood where one reading is left."""

import datetime as dt

import pytest

from bessvpp.price_files.dates import day_of

MAY = (dt.date(2026, 5, 1) - dt.date(1970, 1, 1)).days


@pytest.mark.parametrize(
    "cell",
    [
        "01-05-2026", "1/5/2026", "01.05.2026", "2026-05-01", "2026/5/1", "20260501", "01-May-26",
        "1 May 2026", "01-may-2026", "2026-05-01 00:00:00", "2026-05-01T00:00", "01-05-2026 00:00",
        dt.date(2026, 5, 1), dt.datetime(2026, 5, 1), 20260501,
    ],
)  # fmt: skip
def test_a_day_is_read_in_every_way_of_writing_it(cell):
    assert day_of(cell) == MAY


@pytest.mark.parametrize(
    ("cell", "word"),
    [
        ("05-13-2026", "month-first"),
        ("01-05-26", "is no date"),
        ("01-Foo-2026", "is no date"),
        ("31-02-2026", "correct the date"),
        ("2026-05-01 00:15", "is no date"),
        ("1777593600000", "is no date"),
        ("", "is no date"),
        (dt.datetime(2026, 5, 1, 0, 15), "is a time"),
    ],
)
def test_what_leaves_two_readings_or_none_is_no_date(cell, word):
    with pytest.raises(ValueError, match=word):
        day_of(cell)
