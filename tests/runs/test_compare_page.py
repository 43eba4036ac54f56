"""A comparison as it is read: on a terminal, as JSON, and as a page by itself."""

import json
import re

import pytest
from axe_playwright_python.sync_playwright import Axe
from book_cases import CHROMIUM, read_page
from compare_cases import write_backtest
from playwright.sync_api import sync_playwright

from bessvpp.__main__ import main
from bessvpp.runs.compare import compare
from bessvpp.runs.compare_page import as_html, as_text, round_figures


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    write_backtest(folder / "large", [4, 7])
    write_backtest(folder / "s&all", [5, 10], dam_gate="10:30")
    return [folder / "large", folder / "s&all"]


def test_the_text_says_what_differs_by_how_much_and_how_surely(two):
    text = as_text(compare(two))
    assert "s&all: +2.00 (+1.00 to +3.00) lakh Rs a day over large" in text
    assert re.search(r"Mean of a day, lakh Rs +5\.50 +7\.50$", text, re.MULTILINE)
    assert re.search(r"DAM gate, IST +11:00 +10:30$", text, re.MULTILINE)
    assert re.search(r"^  First settled day +2024-03-05 +2024-03-05$", text, re.MULTILINE)
    assert not re.search(r"[a-z]_[a-z]", text), "a raw name"
    assert not re.search(r"( +–)+$", text, re.MULTILINE), "a row that says nothing"


def test_days_that_are_not_the_same_are_told_and_starred(tmp_path, two):
    other = write_backtest(tmp_path / "other", [4, 7], first_day="2024-03-06").path
    text = as_text(compare([two[0], other]))
    assert "no paired band: other days were settled: 1 of its 2" in text
    assert re.search(r"First settled day \* +2024-03-05 +2024-03-06$", text, re.MULTILINE)
    assert "No parameter differs." in text


def test_the_page_stands_by_itself_and_shows_every_figure_of_the_text(tmp_path, two):
    found = compare(two)
    path = tmp_path / "page.html"
    path.write_text(as_html(found), encoding="utf-8")
    page = read_page(path)
    assert (page.loads, page.links, page.scripts) == ((), (), ())
    assert "s&amp;all" in page.text
    assert "s&all" not in page.text
    figures = re.findall(r"[+−]?\d[\d,]*\.\d\d", as_text(found))
    assert figures
    for figure in figures:
        assert figure in page.text


def test_a_band_is_drawn_where_it_lies_on_a_scale_with_zero(two):
    html = as_html(compare(two))
    assert 'class="track ahead"' in html
    zero, low, width, dot = (
        float(x)
        for x in re.search(
            r'zero" style="left:([\d.]+)%.*?band" style="left:([\d.]+)%;width:([\d.]+)%'
            r'.*?dot" style="left:([\d.]+)%',
            html,
        ).groups()
    )
    # 0, 1, 3 and 2 lakh Rs on a track of which 96 % are 3 lakh Rs
    assert (zero, low, width, dot) == (2.0, 34.0, 64.0, 66.0)


def test_the_band_has_an_axis_of_round_figures_with_zero_and_a_unit(tmp_path, two):
    behind = write_backtest(tmp_path / "behind", [3.9, 6.7]).path
    html = as_html(compare([two[0], behind, two[1]]))
    (axis,) = {*re.findall(r'<div class="axis">(.*?)</div>', html)}  # one and the same for all
    figures = re.findall(r'left:([\d.]+)%">([^<]+)<', axis)
    assert [figure for _, figure in figures] == ["0", "+1", "+2", "+3"]
    (zero,) = {*re.findall(r'class="zero" style="left:([\d.]+)%', html)}
    assert figures[0][0] == zero
    steps = [float(at) - float(zero) for at, _ in figures]
    assert steps == pytest.approx([k * 96 / 3.3 for k in range(4)], abs=0.01)
    assert html.count('<span class="unit">lakh Rs a day</span>') == 2


@pytest.mark.parametrize(
    ("low", "high", "figures"),
    [
        (0.0, 0.0, [0]),
        (-0.02, 0.05, [-0.02, 0, 0.02, 0.04]),
        (-7.0, 0.0, [-6, -4, -2, 0]),
        (-100, 260, [-100, 0, 100, 200]),
    ],
)
def test_figures_of_an_axis_are_round_and_have_zero(low, high, figures):
    assert round_figures(low, high) == pytest.approx(figures)


def test_the_tail_share_is_said_for_each_run_where_they_differ(tmp_path, two):
    text = as_text(compare(two)).replace("\n", " ")
    assert "CVaR is the mean of the worst 50 % of days. " in text
    other = write_backtest(tmp_path / "other", [4, 7], alpha=0.025).path
    text = as_text(compare([two[0], other])).replace("\n", " ")
    assert "the worst 50 % of days in large, the worst 2.5 % of days in other. " in text


def test_the_command_prints_writes_a_page_and_refuses(tmp_path, two, capsys):
    words = [str(path) for path in two]
    assert main(["compare", *words, "--html", str(tmp_path / "c" / "page.html")]) == 0
    assert "s&all against large" in capsys.readouterr().out
    assert (tmp_path / "c" / "page.html").is_file()
    assert main(["compare", *words, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["figures"]["mean_rs"]["large"] == 550_000
    assert main(["compare", words[0]]) == 2
    assert main(["compare", words[0], str(tmp_path / "none")]) == 6


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")
def test_the_page_fits_a_phone_and_can_be_read_in_light_and_dark(tmp_path, two):
    path = tmp_path / "page.html"
    other = write_backtest(tmp_path / "a-run-with-a-very-long-name-of-a-folder", [3, 9]).path
    path.write_text(as_html(compare([*two, other])), encoding="utf-8")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 390, "height": 800})
        page.goto(path.as_uri())
        papers = set()
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            papers.add(page.evaluate("getComputedStyle(document.body).backgroundColor"))
            assert page.evaluate("document.documentElement.scrollWidth") == 390
            assert Axe().run(page).response["violations"] == []
        browser.close()
    assert len(papers) == 2
