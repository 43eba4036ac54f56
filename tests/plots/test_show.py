"""Tables, figures and claims as a notebook shows them."""

import re
from dataclasses import replace
from html import escape
from unittest import mock

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest
from small_cases import make_market

from bessvpp.market.history import LOOKED_AT
from bessvpp.plots import show
from bessvpp.plots.style import AXIS, GRID


def shown(function, *given, **named):
    """The data and metadata that a notebook would keep."""
    with mock.patch.object(show, "display") as seen:
        function(*given, **named)
    ((data,), options) = seen.call_args
    return data, options.get("metadata", {})


def cells(html):
    return [row.dropna().tolist() for _, row in pd.read_html(html)[0].astype(str).iterrows()]


def test_a_table_has_names_units_and_digits():
    table = pd.DataFrame({"net": [1234.5, -20.25], "sure": [True, False]}, index=["dam", "x_y"])
    columns = {"net": ("Net, Rs", ",.1f"), "sure": ("Sure", "")}
    data, _ = shown(show.show_table, table, columns, "Market", {"x_y": "Another"})
    html = data["text/html"]
    for text in ("<th>Market</th>", "Net, Rs", "<td>1,234.5</td>", "<td>−20.2</td>", "Another"):
        assert text in html
    for raw in ("x_y", "True", 'dataframe">\n  <thead>\n    <tr>\n      <th>net'):
        assert raw not in html
    assert "<th>DAM</th>" in html
    assert "<td>yes</td>" in html


def test_a_table_hands_over_its_figures_as_they_were_before_rounding():
    table = pd.DataFrame({("dam", "net"): [1234.56]}, index=[("dam", "x")])
    _, told = shown(show.show_table, table, {("dam", "net"): (("DAM", "Net, Rs"), ",.0f")}, "Row")
    assert told["book"]["data"] == 'Row,"DAM, Net, Rs"\n"DAM, x",1234.56\n'


def test_a_table_of_figures_of_all_sizes_hands_them_over_too():
    table = pd.DataFrame({"statistic": ["mean"], "published": [1234.56]})
    data, told = shown(show.show_figures, table)
    assert "<td>1,235</td>" in data["text/html"]
    assert told["book"]["data"] == "Statistic,Published\nmean,1234.56\n"


def test_each_figure_of_a_table_too_wide_for_a_phone_carries_its_heading():
    names = [f"Column {k}, {unit}" for k, unit in enumerate(("Rs", "<MWh>") * 4)]
    table = pd.DataFrame([range(8), range(10, 18)], index=["one", "two"])
    columns = {k: (name, ",.1f") for k, name in enumerate(names)}
    data, _ = shown(show.show_table, table, columns, "Policy")
    told = re.findall(r'<td data-head="([^"]*)">([^<]*)</td>', data["text/html"])
    assert 'class="dataframe figures apart"' in data["text/html"]
    assert told == [
        (escape(name), f"{value:.1f}")
        for row in (range(8), range(10, 18))
        for name, value in zip(names, row, strict=True)
    ]
    narrow, _ = shown(show.show_table, table, {k: columns[k] for k in (0, 1)}, "Policy")
    assert "apart" not in narrow["text/html"]
    assert "data-head" not in narrow["text/html"]


def test_a_table_without_names_of_rows_and_one_of_two_headings_above_each_other_are_told_too():
    columns = {
        (market, k): ((market, f"Figure {k}"), ",.0f")
        for market in ("DAM", "RTM")
        for k in range(4)
    }
    table = pd.DataFrame({column: [1.0] for column in columns})
    data, _ = shown(show.show_table, table, columns)
    heads = re.findall(r'<td( data-begins)? data-head="([^"]*)"', data["text/html"])
    assert heads == [
        (" data-begins", "DAM, Figure 0"),
        *[("", f"Figure {k}") for k in (1, 2, 3)],
        (" data-begins", "RTM, Figure 0"),
        *[("", f"Figure {k}") for k in (1, 2, 3)],
    ]


def test_a_figure_that_is_not_there_is_a_dash():
    table = pd.DataFrame({"a": [float("nan"), 1.0], "b": [None, "x"]})
    data, _ = shown(show.show_table, table, {"a": ("A", ".0f"), "b": ("B", "")})
    assert data["text/html"].count("<td>–</td>") == 2


def test_a_day_is_shown_without_its_midnight():
    table = pd.DataFrame({"day": pd.to_datetime(["2024-02-29"])})
    data, _ = shown(show.show_table, table, {"day": ("Day", "")})
    assert "<td>2024-02-29</td>" in data["text/html"]


def test_columns_that_the_package_knows_need_a_name_alone():
    table = pd.DataFrame({"pinball": [99.6], "inside": [0.8]}, index=pd.Index([("dam", "model")]))
    data, _ = shown(show.show_table, table, ["pinball", "inside"], "Forecast")
    for text in ("Pinball loss, Rs/MWh", "<td>100</td>", "<td>80%</td>", "<th>DAM, model</th>"):
        assert text in data["text/html"]


def test_the_book_gets_a_checked_table_rounded_alike_and_with_names():
    table = pd.DataFrame({"pinball": [123.0], "inside": [0.84]}, index=["dam"])
    _, told = shown(show.show_checked, table, {"pinball": -1, "inside": 1}, index="Market")
    html = told["book"]["table"]
    for text in ("<th>DAM</th>", "<td>120</td>", "<td>0.8</td>", "Inside 80 %"):
        assert text in html


def test_an_interactive_figure_carries_its_words_its_data_and_no_script_of_its_own():
    figure = go.Figure(go.Scatter(x=[0, 1], y=[2.0, 3.0], name="</script>"))
    figure.update_layout(meta={"says": "Two points."}, yaxis={"title": "lakh Rs"})
    data, told = shown(show.show_interactive, figure, "prices", False)
    assert told["book"] == {
        "says": "Two points.",
        "name": "prices",
        "data": "series,x,y,y_is\n</script>,0,2.0,lakh Rs\n</script>,1,3.0,lakh Rs\n",
    }
    assert data["text/html"].count("</script>") == 1
    assert 'id="prices"' in data["text/html"]
    assert "http" not in data["text/html"].split('json">')[0]


def test_an_interactive_figure_has_the_grid_and_the_axes_of_all_pictures():
    figure = go.Figure(go.Scatter(x=[0, 1], y=[2.0, 3.0], name="a"))
    drawn, _ = shown(show.show_interactive, figure, "prices", False)
    layout = drawn[show.FOR_LAB]["layout"]
    for axis in (layout["xaxis"], layout["yaxis"]):
        assert (axis["gridcolor"], axis["linecolor"], axis["showline"]) == (GRID, AXIS, True)


def test_what_the_pointer_says_of_a_point_is_in_the_data_too():
    figure = go.Figure(go.Scatter(x=[0], y=[2], name="a", customdata=[[0.1, 7]]))
    figure.data[0].meta = ["lambda", "worst day"]
    _, told = shown(show.show_interactive, figure, "frontier", False)
    assert told["book"]["data"] == "series,x,y,lambda,worst day\na,0,2,0.1,7.0\n"


def test_notes_name_files_without_their_folders():
    market = mock.Mock(notes=["/a/b c/DAM.csv: 2 blocks of zeros, taken as no price", "no file"])
    with mock.patch.object(show, "display") as seen:
        show.say_notes(market)
    told = [call.args[0].data for call in seen.call_args_list]
    assert told == ["- DAM.csv: 2 blocks of zeros, taken as no price", "- no file"]


def test_own_forecasts_are_said_below_the_source_of_prices_and_only_where_there_are_any():
    market = make_market(3)
    with mock.patch.object(show, "say") as seen:
        show.say_source(market)
        show.say_source(market, ("Own forecasts: the quantiles of mine.csv.", "It lacks 2 days."))
    first, second, own = (call.args[0] for call in seen.call_args_list)
    assert first == second
    assert own == "> - Own forecasts: the quantiles of mine.csv.\n> - It lacks 2 days."


def test_pages_of_days_on_which_defaults_were_chosen_say_so_and_no_others():
    first, last = LOOKED_AT
    for start, told in ((last, 2), (first - 3, 1), (first - 2, 2), (last + 1, 1)):
        with mock.patch.object(show, "say") as seen:
            show.say_source(make_market(3, first=str(start)))
        assert seen.call_count == told
    made = replace(make_market(3, first=str(first)), is_synthetic=True)
    assert not made.looked_at(made.dates).any()


def test_claims_are_shown_once_each_and_one_that_fails_stops_the_page():
    claims = show.Claims()
    claims("One is one", 1 == 1)
    claims("All are small", np.array([1, 2]) < 3)
    claims("One is one", True)
    with pytest.raises(AssertionError, match="Three is small"):
        claims("Three is small", np.array([1, 3]) < 3)
    data, _ = shown(claims.show)
    assert "2 of 2 hold" in data["text/html"]
    assert data["text/html"].count("<li>") == 2
    assert "Three" not in data["text/html"]
