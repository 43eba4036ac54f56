"""The built book as a reader sees it: in a browser, on a phone, in the dark, without a network.

Every page is opened once, from the disk, and looked at in two widths and both colour schemes. The
pictures of the project's own book are kept in ``outputs/test/pages``.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from book_cases import CHROMIUM, ELSEWHERE, pages_of
from playwright.sync_api import Browser, Page, TimeoutError, sync_playwright
from small_cases import PATIENCE_S

from bessvpp.files import PROJECT_ROOT
from bessvpp.plots.phone import PHONE_WIDTH

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed"),
]
KEPT = PROJECT_ROOT / "outputs" / "test" / "pages"
NO_PAGES = ("index", "search")  # a redirection, and a form
DESK, PHONE = 1300, 390  # pixels
SCHEMES = ("light", "dark")
LEAST_LETTER = 9  # pixels, of the smallest letters of a picture
SMALLEST_PT = 8  # of letters in pictures
RULES = ("color-contrast", "heading-order", "page-has-heading-one", "image-alt", "empty-heading")
FORMULAS_ARE_SET = """() => [...document.querySelectorAll('.math')].every(
    formula => formula.querySelector('mjx-container'))"""
FIGURES_ARE_DRAWN = """async () => {
  for (const box of document.querySelectorAll('.interactive')) {
    box.scrollIntoView();
    while (!box.dataset.drawn) await new Promise(done => setTimeout(done, 50));
  }
  scrollTo(0, 0);
}"""
MIDDLE_POINT = """place => {
  const box = document.querySelectorAll('.interactive')[place];
  box.scrollIntoView({block: 'center'});
  const {xaxis, yaxis} = box._fullLayout, corner = box.getBoundingClientRect();
  const {x, y} = box._fullData[0], k = Math.floor(x.length / 2);
  return [corner.x + xaxis._offset + xaxis.d2p(x[k]), corner.y + yaxis._offset + yaxis.d2p(y[k])];
}"""
FITS = "() => document.documentElement.scrollWidth <= innerWidth"
LOOK = """() => {
  const article = document.querySelector('.bd-article') ?? document.body;
  const told = element =>
    `${element.tagName}.${element.className} ${element.textContent.trim().slice(0, 30)}`;
  const scrolls = element => {
    for (let up = element; up && up !== document.body; up = up.parentElement)
      if (/auto|scroll/.test(getComputedStyle(up).overflowX)) return up;
    return null;
  };
  const seen = [...article.querySelectorAll('*')].filter(element =>
    !element.closest('svg, mjx-assistive-mml, .interactive, .onlyprint')
    && element.checkVisibility({visibilityProperty: true}) && element.getClientRects().length);
  const out = seen.filter(element => {
    const box = scrolls(element) ?? element;
    return box.getBoundingClientRect().right > innerWidth + 1;
  });
  const small = seen.filter(element => !element.closest('mjx-container')
    && [...element.childNodes].some(node => node.nodeType === 3 && node.data.trim())
    && parseFloat(getComputedStyle(element).fontSize) < 11);
  return {
    sticks_out: out.map(told),
    small: small.map(told),
    wider: document.documentElement.scrollWidth - innerWidth,
    cut_tables: [...article.querySelectorAll('table')].filter(table =>
      table.offsetWidth > table.parentElement.clientWidth + 1).map(told),
    light: seen.filter(element => {
      const shown = getComputedStyle(element), box = element.getBoundingClientRect();
      const [r, g, b, a] = shown.backgroundColor.match(/[\\d.]+/g).map(Number);
      return (a ?? 1) > 0.5 && (r + g + b) / 3 > 170 && box.width * box.height > 2000;
    }).map(told),
    as_printed: [...article.querySelectorAll('figure :is(img, .interactive)')].filter(
      picture => getComputedStyle(picture).filter === 'none').map(told),
    pictures: [...article.querySelectorAll('img')].map(image => ({
      source: image.currentSrc.split('/').pop(), alt: image.alt, drawn: image.naturalWidth,
      width: image.clientWidth})),
  };
}"""


@dataclass
class Visit:
    """What was seen of a page; ``looks`` and ``screens`` by width and colour scheme."""

    name: str
    faults: list[str] = field(default_factory=list)
    looks: dict = field(default_factory=dict)
    screens: dict = field(default_factory=dict)
    violations: list[str] = field(default_factory=list)
    hovers: list[bool] = field(default_factory=list)
    n_formulas: int = 0


@contextmanager
def a_browser() -> Iterator[Browser]:
    """Debian's Chromium, with every host out of reach."""
    options = ["--no-sandbox", "--disable-dev-shm-usage", "--host-resolver-rules=MAP * ~NOTFOUND"]
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=options)
        yield opened
        opened.close()


def opened(browser: Browser, path: Path, visit: Visit) -> Page:
    """A page as it is at the first visit, its faults noted."""
    page = browser.new_page(viewport={"width": DESK, "height": 900}, color_scheme="light")
    page.set_default_timeout(1000 * PATIENCE_S)
    page.on("pageerror", lambda error: visit.faults.append(f"{error}"))
    page.on("console", lambda line: line.type == "error" and visit.faults.append(line.text))
    page.on("request", lambda asked: ELSEWHERE.match(asked.url) and visit.faults.append(asked.url))
    page.goto(path.as_uri())
    return page


def visited(browser: Browser, path: Path, name: str) -> Visit:
    """Open a page and look at it in every width and colour scheme."""
    visit = Visit(name)
    page = opened(browser, path, visit)
    page.wait_for_function(FORMULAS_ARE_SET)
    visit.n_formulas = page.locator(".math").count()
    assert page.locator("mjx-merror").count() == 0, f"{name}: a formula that is none"
    page.evaluate(FIGURES_ARE_DRAWN)
    for place in range(page.locator(".interactive").count()):
        x, y = page.evaluate(MIDDLE_POINT, place)
        page.mouse.move(x - 3, y)
        page.mouse.move(x, y)
        label = page.locator(".interactive").nth(place).locator(".hoverlayer .hovertext").first
        label.wait_for(state="attached")
        visit.hovers.append(bool(label.text_content()))
    page.mouse.move(0, 0)
    for width in (DESK, PHONE):
        page.set_viewport_size({"width": width, "height": 900})
        for scheme in SCHEMES:
            page.emulate_media(color_scheme=scheme)
            page.evaluate("scrollTo(0, 0)")
            page.wait_for_function(
                "([scheme]) => document.documentElement.dataset.theme === scheme", arg=[scheme]
            )
            with suppress(TimeoutError):  # a page that stays too wide is seen below
                page.wait_for_function(FITS, timeout=30_000)
            visit.looks[width, scheme] = page.evaluate(LOOK)
            visit.screens[width, scheme] = page.locator("main").screenshot(animations="disabled")
            found = (
                Axe().run(page, ".bd-article", {"runOnly": list(RULES)}) if width == DESK else None
            )
            for one in found.response["violations"] if found else ():
                nodes = [node["html"][:90] for node in one["nodes"]]
                visit.violations.append(f"{scheme}, {one['id']}: {nodes}")
    page.close()
    return visit


@pytest.fixture(scope="session")
def visits(book: Path) -> list[Visit]:
    """Every page of a book, looked at once; pictures of the project's own are kept."""
    named = {path.relative_to(book).with_suffix("").as_posix(): path for path in pages_of(book)}
    pages = {name: named[name] for name in sorted(named) if name not in NO_PAGES}
    with a_browser() as browser:
        made = [visited(browser, path, name) for name, path in pages.items()]
    if book.is_relative_to(KEPT.parent):
        shutil.rmtree(KEPT, ignore_errors=True)
        KEPT.mkdir(parents=True)
        for visit in made:
            for (width, scheme), screen in visit.screens.items():
                name = f"{visit.name.replace('/', '-')}-{width}-{scheme}.png"
                (KEPT / name).write_bytes(screen)
    return made


def test_no_page_has_an_error_or_asks_another_host_at_its_first_visit(visits: list[Visit]):
    assert {visit.name: visit.faults for visit in visits if visit.faults} == {}
    assert sum(visit.n_formulas for visit in visits) >= 7


def test_interactive_figures_answer_the_pointer(visits: list[Visit]):
    answers = {visit.name: visit.hovers for visit in visits if visit.hovers}
    assert {"intro", "notebooks/07_efficient_frontier"} <= set(answers)
    assert all(all(hovers) for hovers in answers.values())


def test_headings_contrast_and_texts_in_place_of_pictures(visits: list[Visit]):
    assert {visit.name: visit.violations for visit in visits if visit.violations} == {}


def test_nothing_is_cut_and_no_letter_is_too_small(visits: list[Visit]):
    for visit in visits:
        for where, look in visit.looks.items():
            assert look["sticks_out"] == [], (visit.name, where)
            assert look["small"] == [], (visit.name, where)
            assert look["wider"] <= 0, (visit.name, where)
            assert look["cut_tables"] == [], (visit.name, where)


def test_pictures_are_there_have_a_text_and_fit_a_phone(visits: list[Visit]):
    pictures = 0
    for visit in visits:
        for (width, _), look in visit.looks.items():
            for picture in look["pictures"]:
                pictures += 1
                assert picture["drawn"] > 0, (visit.name, picture)
                assert len(picture["alt"]) > 20, (visit.name, picture)
                assert picture["source"].endswith("-phone.png") == (width == PHONE)
                letter = picture["width"] / PHONE_WIDTH * SMALLEST_PT / 72
                assert width == DESK or letter >= LEAST_LETTER, (visit.name, picture)
    assert pictures >= 7 * 4


def border(pixels: np.ndarray) -> np.ndarray:
    """The outermost pixels of a picture, a row each."""
    sides = pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]
    return np.concatenate([side.reshape(-1, pixels.shape[-1]) for side in sides])


def is_whole(pixels: np.ndarray) -> bool:
    """Whether a picture shows something, and nothing of it touches the border."""
    return bool(pixels.std() > 0.02 and np.ptp(border(pixels), axis=0).max() < 0.02)


def test_no_picture_is_blank_or_cut(book: Path):
    pictures = sorted((book / "_images").glob("*.png"))
    assert [path.name for path in pictures if not is_whole(matplotlib.image.imread(path))] == []
    assert len(pictures) >= 14


def test_a_blank_picture_and_a_cut_one_are_seen():
    blank, cut = np.ones((40, 60, 4)), np.ones((40, 60, 4))
    cut[10:20, 50:, :3] = 0
    assert not is_whole(blank)
    assert not is_whole(cut)
    whole = np.ones((40, 60, 4))
    whole[10:20, 20:50, :3] = 0
    assert is_whole(whole)


def test_in_the_dark_neither_page_nor_picture_stays_light(visits: list[Visit]):
    for visit in visits:
        for (width, scheme), look in visit.looks.items():
            assert scheme == "light" or look["light"] == [], (visit.name, width)
            assert scheme == "light" or look["as_printed"] == [], (visit.name, width)


def test_the_visit_sees_what_it_is_for(tmp_path: Path):
    page = tmp_path / "page.html"
    page.write_text(
        '<html data-theme="light"><body class="bd-article"><h1>One</h1><h3>Three</h3>'
        '<p style="color: #aaa; background: #fff; width: 2000px; font-size: 5px">too wide</p>'
        '<script src="https://cdn.example/a.js"></script>'
        "<script>throw new Error('broken')</script></body></html>"
    )
    visit = Visit("page")
    with a_browser() as browser:
        seen = opened(browser, page, visit)
        look = seen.evaluate(LOOK)
        found = Axe().run(seen, "body", {"runOnly": list(RULES)}).response["violations"]
    told = " ".join(visit.faults)
    assert "cdn.example" in told
    assert "broken" in told
    assert any("too wide" in text for text in look["sticks_out"])
    assert any("too wide" in text for text in look["small"])
    assert any("too wide" in text for text in look["light"])
    assert {"color-contrast", "heading-order"} <= {one["id"] for one in found}
