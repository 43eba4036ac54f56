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
    expected = [["a", 3, 3], ["b", -1, -1]] if upright else [[3, "a", 3], [-1, "b", -1]]
    assert rows(axis, "x", "y", "value") == expected


@pytest.mark.parametrize("upright", [True, False])
def test_a_bar_that_stands_on_another_says_how_long_it_is(axis, upright):
    if upright:
        axis.bar([0, 1], [3, -1], bottom=[2, 5])
    else:
        axis.barh([0, 1], [3, -1], left=[2, 5])
    assert rows(axis, "y" if upright else "x", "value") == [[5, 3], [4, -1]]


def test_whiskers_are_no_bars_and_their_points_are_read(axis):
    axis.errorbar([1, 2], [30, 40], yerr=[1, 2], label="planned")
    assert rows(axis, "x", "y") == [[1, 30], [2, 40]]


def test_a_band_goes_from_its_lower_to_its_upper_edge(axis):
    axis.fill_between([0, 1, 2], [1, 2, 3], [4, 6, 8], label="band")
    assert rows(axis, "x", "y", "to") == [[0, 1, 4], [1, 2, 6], [2, 3, 8]]


def test_a_band_in_steps_has_one_row_a_step(axis):
    axis.fill_between([0, 1, 2], [1, 2, 3], [4, 6, 8], step="post")
    assert rows(axis, "x", "y", "to") == [[0, 1, 4], [1, 2, 6], [2, 3, 8]]


@pytest.mark.parametrize("draw", ["pcolormesh", "imshow"])
def test_a_map_has_its_value_at_column_and_row(axis, draw):
    edges = [[-0.5, 0.5, 1.5]] * 2 if draw == "pcolormesh" else []
    getattr(axis, draw)(*edges, np.array([[1.0, 2.0], [3.0, 4.0]]))
    assert rows(axis, "x", "y", "value") == [[0, 0, 1], [1, 0, 2], [0, 1, 3], [1, 1, 4]]


def test_whiskers_with_a_label_are_read_from_end_to_end(axis):
    axis.vlines([1, 2], [10, 20], [30, 40], label="_chance")
    assert rows(axis, "series", "x", "y", "to") == [["chance", 1, 10, 30], ["chance", 2, 20, 40]]


def test_what_is_in_no_legend_can_have_a_name_and_what_has_none_a_number(axis):
    axis.plot([1], [2], label="_a path")
    axis.plot([1], [3])
    axis.bar([1], [4])
    assert {name for (name,) in rows(axis, "series")} == {"a path", "series 2", "series 3"}
    assert axis.get_legend_handles_labels() == ([], [])


def test_a_histogram_keeps_its_name(axis):
    axis.hist([1, 1, 2], bins=[0.5, 1.5, 2.5], label="_scenarios")
    assert rows(axis, "series", "x", "y") == [["scenarios", 1, 2], ["scenarios", 2, 1]]


def test_units_come_from_the_axes_shared_ones_included():
    figure, axes = plt.subplots(1, 2, sharey=True)
    axes[0].set(xlabel="hour", ylabel="Rs/MWh")
    axes[1].plot([1], [2])
    axes[1].set_xlabel("share")
    assert rows(axes[1], "x_is", "y_is") == [["share", "Rs/MWh"]]
    plt.close(figure)


def test_places_on_an_axis_that_counts_have_its_names(axis):
    axis.plot([-0.2, 0.8], [0, 1])
    axis.set_xticks([0, 1], ["q10", "q90"])
    axis.set_yticks([0, 1], ["", "second"])
    assert rows(axis, "x", "y") == [["q10", 0], ["q90", "second"]]


def test_ticks_on_an_axis_that_measures_are_no_names(axis):
    axis.plot([3, 4], [0, 1])
    axis.set_xticks([3, 9], ["03", "09"])
    assert rows(axis, "x", "y") == [[3, 0], [4, 1]]


def test_dates_are_dates(axis):
    axis.plot(np.array(["2024-02-29", "2024-03-01"], "M8[D]"), [1, 2])
    axis.xaxis.set_major_formatter(ConciseDateFormatter(axis.xaxis.get_major_locator()))
    assert drawn_data(axis.figure)["x"].tolist() == ["2024-02-29", "2024-03-01"]


def test_an_empty_picture_is_an_empty_table(axis):
    assert isinstance(drawn_data(axis.figure), pd.DataFrame)
    assert len(drawn_data(axis.figure)) == 0
