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
from bessvpp.runs.compare_page import as_html, as_text


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
