"""A picture on a phone: nothing beside anything, nothing cut, and afterwards as it was."""

import warnings

import numpy as np
import pytest

from bessvpp.plots.phone import PHONE_WIDTH, narrow
from bessvpp.plots.style import WIDTH, finished, new_figure


@pytest.fixture
def picture():
    """Two panels with all that is too wide for a phone."""
    figure, axes = new_figure(1, 2, 3.0, sharey=True)
    first, second = axes[0]
    first.plot([1, 3, 2], label="a line with a name that is long")
    first.set_ylabel("Rs/MWh")
    first.set_title("A title that is far too long for the width of a phone")
    for name in ("one", "two", "three"):
        second.plot([2, 2, 2], label=f"{name}, which is flat")
    second.legend(ncols=3, loc="upper left")
    figure.legend(ncols=3, loc="outside upper center")
    return finished(figure, True, "A line, and some that are flat.")


def test_panels_stand_one_below_the_other_and_each_has_its_unit(picture):
    with narrow(picture, picture.grid):
        picture.draw_without_rendering()
        first, second = (axis.get_position() for axis in picture.grid[0])
        assert first.y0 > second.y1
        assert picture.get_size_inches()[0] == PHONE_WIDTH
        assert [axis.get_ylabel() for axis in picture.grid[0]] == ["Rs/MWh", "Rs/MWh"]
        assert "\n" in picture.grid[0, 0].get_title(loc="left")


def test_everything_fits_and_no_panel_vanishes(picture):
    with warnings.catch_warnings(), narrow(picture, picture.grid):
        warnings.simplefilter("error")  # a layout that does not work out warns
        for _ in range(2):
            picture.draw_without_rendering()
        for part in (*picture.grid.ravel(), *picture.legends[1:]):
            box = part.get_tightbbox()
            assert box.x0 >= 0
            assert box.x1 <= picture.bbox.x1


def test_names_of_rows_take_several_lines():
    figure, axes = new_figure(1, 1, 3.0)
    axes[0, 0].barh([0, 1], [1, 2])
    axes[0, 0].set_yticks([0, 1], ["short", "a name of a row that is longer than a phone is wide"])
    picture = finished(figure, False)
    with narrow(picture, picture.grid):
        names = [name.get_text() for name in axes[0, 0].get_yticklabels()]
        assert names[0] == "short"
        assert max(len(line) for line in names[1].splitlines()) <= 24
    assert "\n" not in axes[0, 0].get_yticklabels()[1].get_text()


def test_afterwards_the_picture_is_as_it_was(picture):
    before = picture.png()
    with narrow(picture, picture.grid):
        assert picture.png() != before
    assert picture.png() == before
    assert picture.get_size_inches()[0] == WIDTH


def test_panels_one_below_the_other_keep_their_heights():
    figure, axes = new_figure(2, 1, 4.0, height_ratios=(3, 1))
    picture = finished(figure, False)
    with narrow(picture, axes):
        picture.draw_without_rendering()
        heights = [axis.get_position().height for axis in axes[:, 0]]
        assert np.isclose(heights[0], 3 * heights[1], rtol=0.1)


def test_beside_names_of_rows_a_title_has_less_room_and_their_lines_more():
    figure, axes = new_figure(1, 1, 3.0)
    axes[0, 0].barh([0, 1], [1, 2])
    axes[0, 0].set_yticks([0, 1], ["short", "a name of a row that is longer than a phone is wide"])
    axes[0, 0].set_title("A title of thirty-four letters, so")
    picture = finished(figure, False)
    with narrow(picture, picture.grid):
        picture.draw_without_rendering()
        assert picture.get_size_inches()[1] > 3.0
        title = axes[0, 0]._left_title.get_window_extent()
        assert title.x1 <= picture.bbox.x1
    assert picture.get_size_inches()[1] == 3.0


def test_an_axis_without_ticks_keeps_its_title():
    figure, axes = new_figure(1, 1, 3.0)
    axes[0, 0].set_yticks([])
    axes[0, 0].set_title("A title of thirty-four letters, so")
    picture = finished(figure, False)
    with narrow(picture, picture.grid):
        assert axes[0, 0].get_title(loc="left") == "A title of thirty-four letters, so"


def test_names_that_the_first_panel_has_stand_beside_each():
    figure, axes = new_figure(1, 2, 3.0, sharey=True)
    axes[0, 0].set_yticks([0, 1], ["short", "a name of a row that is longer than a phone is wide"])
    picture = finished(figure, False)
    with narrow(picture, picture.grid):
        for axis in axes[0]:
            assert "\n" in axis.get_yticklabels()[1].get_text()
