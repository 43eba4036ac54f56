"""What a picture hands over, and colours that can be told apart."""

import itertools

import pandas as pd
import pytest

from bessvpp.plots.style import AXIS, COLOURS, GRID, end_labels, finished, new_figure
from bessvpp.runs.names import figure_text

DARK_PAGE = "#121212"  # of the theme


@pytest.fixture
def picture():
    figure, axes = new_figure(1, 2, 3.0, sharey=True)
    axes[0, 0].plot([1, 3, 2], label="a line")
    axes[0, 0].set_ylabel("Rs/MWh")
    axes[0, 0].set_title("A title that is far too long for the width of a phone")
    axes[0, 1].plot([2, 2, 2])
    figure.legend(ncols=3, loc="outside upper center")
    return finished(figure, True, "A line, and one that is flat.")


def test_a_notebook_gets_the_picture_its_words_and_its_data(picture):
    shown, told = picture._repr_mimebundle_()
    assert set(shown) == {"image/png", "text/plain"}
    assert shown["text/plain"] == told["book"]["says"] == "A line, and one that is flat."
    assert told["book"]["phone"] != shown["image/png"]
    assert "a line,0,1" in told["book"]["data"]


def test_what_a_picture_was_drawn_from_goes_in_place_of_what_is_read_back(picture):
    drawn_from = pd.DataFrame({"lambda": [0.1], "mean_rs": [1234567.891]})
    told = finished(picture, True, "Words.", drawn_from)._repr_mimebundle_()[1]
    assert told["book"]["data"] == "lambda,mean_rs\n0.1,1234567.89\n"


def luminance(colour):
    """Relative luminance, after WCAG 2."""
    channels = [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return sum(weight * c for weight, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def as_deuteranope(colour):
    """The colour as seen without the middle cones (Viénot, Brettel and Mollon, 1999), linear."""
    r, g, b = ((int(colour[k : k + 2], 16) / 255) ** 2.2 for k in (1, 3, 5))
    yellow = 0.29275 * r + 0.70725 * g
    return yellow, -0.02234 * r + 0.02234 * g + b


@pytest.mark.parametrize("colour", COLOURS.values(), ids=COLOURS)
def test_colours_stand_out_from_a_white_page(colour):
    assert 1.05 / (luminance(colour) + 0.05) >= 3


def in_the_dark(grey):
    """A grey as the book's style sheet has it on a dark page: inverted, and 1.3 times as bright."""
    channels = (min(255, round(1.3 * (255 - int(grey[k : k + 2], 16)))) for k in (1, 3, 5))
    return "#" + "".join(f"{channel:02x}" for channel in channels)


@pytest.mark.parametrize(("line", "contrast"), [(GRID, 1.3), (AXIS, 3)], ids=["grid", "axis"])
def test_grid_and_axes_are_seen_on_a_light_page_and_on_a_dark_one(line, contrast):
    for page, seen in (("#ffffff", line), (DARK_PAGE, in_the_dark(line))):
        low, high = sorted(luminance(colour) + 0.05 for colour in (page, seen))
        assert high / low >= contrast


@pytest.mark.parametrize(
    "pair", [("dam", "rtm"), ("charge", "discharge"), ("original", "recalibrated")]
)
def test_what_stands_side_by_side_is_told_apart_without_red_and_green(pair):
    one, other = (as_deuteranope(COLOURS[name]) for name in pair)
    assert max(abs(a - b) for a, b in zip(one, other, strict=True)) > 0.05


def test_no_two_things_have_one_colour():
    assert all(a != b for a, b in itertools.combinations(COLOURS.values(), 2))


def test_names_at_the_ends_of_lines_stand_apart_in_their_order_and_below_the_title():
    _, axes = new_figure(1, 1, 3.0)
    axis = axes[0, 0]
    axis.set_ylim(0, 100)
    ends = {"low": (5, "black"), "c": (98, "black"), "a": (97, "black"), "b": (97.5, "black")}
    end_labels(axis, ends)
    places = {text.get_text(): text.xyann[1] for text in axis.texts}
    assert places["low"] == 5
    assert sorted(places, key=places.get) == ["low", "a", "b", "c"]
    assert places["c"] <= 100
    assert min(places["c"] - places["b"], places["b"] - places["a"]) > 6


def test_the_minus_of_a_figure_is_that_of_an_axis():
    assert figure_text(-1234.5, "+,.1f") == "−1,234.5"
