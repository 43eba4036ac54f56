"""What is read back from a picture is what was drawn."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.dates import ConciseDateFormatter

from bessvpp.plots.drawn import drawn_data


@pytest.fixture
def axis():
    figure, axis = plt.subplots()
    yield axis
    plt.close(figure)


def rows(axis, *columns):
    return drawn_data(axis.figure)[list(columns)].to_numpy().tolist()


def test_a_curve_and_steps_keep_their_names_and_places(axis):
    axis.set_title("Prices", loc="left")
    axis.plot([1, 2], [30, 40], label="day-ahead")
    axis.stairs([5, 6], [0, 1, 2], label="steps")
    assert rows(axis, "panel", "series", "x", "y") == [
        ["Prices", "day-ahead", 1, 30],
        ["Prices", "day-ahead", 2, 40],
        ["Prices", "steps", 0, 5],
        ["Prices", "steps", 1, 6],
    ]


def test_a_line_across_the_page_is_no_data(axis):
    axis.axhline(0)
    axis.plot([1], [2], label="point")
    assert rows(axis, "series", "x", "y") == [["point", 1, 2]]


@pytest.mark.parametrize("upright", [True, False])
def test_bars_have_their_name_and_their_end(axis, upright):
    (axis.bar if upright else axis.barh)(["a", "b"], [3, -1])
    expected = [["a", 3], ["b", -1]] if upright else [[3, "a"], [-1, "b"]]
    assert rows(axis, "x", "y") == expected


def test_whiskers_are_no_bars_and_their_points_are_read(axis):
    axis.errorbar([1, 2], [30, 40], yerr=[1, 2], label="planned")
    assert rows(axis, "x", "y") == [[1, 30], [2, 40]]


def test_a_band_goes_from_its_lower_to_its_upper_edge(axis):
    axis.fill_between([0, 1, 2], [1, 2, 3], [4, 6, 8], label="band")
    assert rows(axis, "x", "y", "to") == [[0, 1, 4], [1, 2, 6], [2, 3, 8]]


def test_a_map_has_its_value_at_column_and_row(axis):
    axis.pcolormesh(np.array([[1.0, 2.0], [3.0, 4.0]]))
    assert rows(axis, "x", "y", "to") == [[0, 0, 1], [1, 0, 2], [0, 1, 3], [1, 1, 4]]


def test_dates_are_dates(axis):
    axis.plot(np.array(["2024-02-29", "2024-03-01"], "M8[D]"), [1, 2])
    axis.xaxis.set_major_formatter(ConciseDateFormatter(axis.xaxis.get_major_locator()))
    assert drawn_data(axis.figure)["x"].tolist() == ["2024-02-29", "2024-03-01"]


def test_an_empty_picture_is_an_empty_table(axis):
    assert isinstance(drawn_data(axis.figure), pd.DataFrame)
    assert len(drawn_data(axis.figure)) == 0
