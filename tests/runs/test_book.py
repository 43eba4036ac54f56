"""The built book: complete, drawn in a browser, and without a word to another host."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import nbformat
import pytest
from dummy_notebooks import NAMES, write_seven
from small_cases import PATIENCE_S

from bessvpp.__main__ import main
from bessvpp.errors import DataError, MissingArtefactError, RunError
from bessvpp.files import PROJECT_ROOT
from bessvpp.runs import profiles
from bessvpp.runs.book import build_book
from bessvpp.runs.folder import RunFolder
from bessvpp.runs.headline import frontier_rows, headline, policy_rows, verdict
from bessvpp.runs.manifest import read_manifest
from bessvpp.runs.pipeline import run_notebooks

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
NOT_A_PAGE = "not an origin"  # what the browser asks for by itself
LOADS = {  # what a page fetches by itself; a plain link is not among them
    "script": ("src",),
    "img": ("src", "srcset"),
    "iframe": ("src",),
    "source": ("src", "srcset"),
    "video": ("src", "poster"),
    "audio": ("src",),
    "embed": ("src",),
    "object": ("data",),
    "link": ("href",),
    "form": ("action",),
}
ELSEWHERE = re.compile(r"^\s*(https?:)?//", re.IGNORECASE)
CSS_LOAD = re.compile(r"""(?:url\(\s*|@import\s+)["']?([^"')\s;]+)""", re.IGNORECASE)
JS_LOAD = re.compile(
    r"""(?:\bimport\s*\(?\s*|\bfrom\s*|\bimportScripts\(\s*|\bfetch\(\s*|\.src\s*=\s*)"""
    r"""["'`]((?:https?:)?//[^"'`]+)["'`]"""
)


@dataclass(frozen=True)
class Page:
    """What a page loads, and the names that it can be linked by."""

    path: Path
    loads: tuple[str, ...]
    links: tuple[str, ...]
    scripts: tuple[str, ...]
    styles: tuple[str, ...]
    text: str


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.links: list[str] = []
        self.inline: dict[str, list[str]] = {"script": [], "style": []}
        self._inside = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._inside = tag if tag in self.inline else ""
        values = {key: value or "" for key, value in attrs}
        self.loads += [values[key] for key in LOADS.get(tag, ()) if values.get(key)]
        self.inline["style"].append(values.get("style", ""))
        if tag == "a" and values.get("href"):
            self.links.append(values["href"])

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.inline[self._inside].append(data)


def read_page(path: Path) -> Page:
    """Parse one page."""
    reader = _Reader()
    text = path.read_text(encoding="utf-8")
    reader.feed(text)
    scripts, styles = (tuple(reader.inline[key]) for key in ("script", "style"))
    return Page(path, tuple(reader.loads), tuple(reader.links), scripts, styles, text)


def pages_of(html: Path) -> list[Path]:
    """The pages of a book; the theme leaves templates of its own in ``_static``."""
    return [path for path in html.rglob("*.html") if "_static" not in path.parts]


def foreign_loads(html: Path) -> list[str]:
    """Everything in a built book that asks another host for something."""
    found = []
    for path in html.rglob("*.html"):
        page = read_page(path)
        targets = [
            *page.loads,
            *(t for style in page.styles for t in CSS_LOAD.findall(style)),
            *(t for script in page.scripts for t in JS_LOAD.findall(script)),
        ]
        found += [f"{path.name}: {target}" for target in targets if ELSEWHERE.match(target)]
    for path in html.rglob("*.css"):
        targets = CSS_LOAD.findall(path.read_text(encoding="utf-8"))
        found += [f"{path.name}: {target}" for target in targets if ELSEWHERE.match(target)]
    return found


@pytest.fixture(scope="session")
def dummy_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of seven small notebooks."""
    folder = tmp_path_factory.mktemp("dummy")
    notebooks = write_seven(folder / "notebooks")
    (folder / "empty.yaml").write_text("")
    parameters = profiles.resolve(str(folder / "empty.yaml"), notebooks=notebooks)
    run_notebooks(parameters, folder / "out", quiet=True, notebooks=notebooks)
    return folder / "out"


@pytest.fixture(scope="session")
def real_run() -> Path:
    """A finished run of the project's own notebooks, by the command that a reader types."""
    outputs = PROJECT_ROOT / "outputs" / "test"
    command = [sys.executable, "-m", "bessvpp", "run", "--profile", "quick", "--overwrite"]
    subprocess.run([*command, "--outputs", str(outputs)], check=True)
    return outputs


@pytest.fixture(scope="session", params=["dummy", "real"])
def book(request: pytest.FixtureRequest) -> Path:
    """Folder of a built book."""
    return build_book(request.getfixturevalue(f"{request.param}_run")).parent


@pytest.fixture
def copied_run(dummy_run: Path, tmp_path: Path) -> Path:
    """A finished run that a test may spoil."""
    target = tmp_path / "out"
    shutil.copytree(dummy_run, target, ignore=shutil.ignore_patterns("_build", "book_source"))
    return target


def test_every_chapter_has_its_page(book: Path):
    pages = {path.relative_to(book).as_posix() for path in pages_of(book)}
    written = {"index.html", "intro.html", "docs/api.html"}
    assert written | {f"notebooks/{name}.html" for name in NAMES} <= pages


def test_no_page_asks_another_host_for_anything(book: Path):
    assert foreign_loads(book) == []


def test_the_scan_sees_what_it_is_for(tmp_path: Path):
    (tmp_path / "page.html").write_text(
        '<script src="https://cdn.example/a.js"></script><img src="//cdn.example/b.png">'
        '<link rel="stylesheet" href="http://cdn.example/c.css"><a href="https://fine.example">x</a>'
        '<script>import("https://cdn.example/d.js")</script>'
        "<style>@import 'https://cdn.example/e.css'; a {src: url(//cdn.example/f.png)}</style>"
        '<p style="background: url(https://cdn.example/g.png)">a</p><img src="fine.png">'
    )
    (tmp_path / "style.css").write_text("@font-face {src: url('https://cdn.example/h.woff2')}")
    found = " ".join(foreign_loads(tmp_path))
    assert sorted(re.findall(r"cdn\.example/(\w)", found)) == list("abcdefgh")
    assert "fine" not in found


def test_everything_that_a_page_loads_or_links_is_there(book: Path):
    missing = []
    for path in pages_of(book):
        page = read_page(path)
        for target in (*page.loads, *page.links):
            parts = urlsplit(target)
            if parts.scheme or parts.netloc or not parts.path:
                continue
            if not (path.parent / unquote(parts.path)).exists():
                missing.append(f"{path.name}: {target}")
    assert missing == []


def test_the_landing_page_shows_frontier_coverage_and_where_prices_come_from(book: Path):
    text = read_page(book / "intro.html").text
    assert "_images/frontier.png" in text
    assert "_images/coverage.png" in text
    assert "synthetic, not real prices" in text
    assert "nothing committed" in text
    assert "{{" not in text


def test_the_plotting_script_is_there_once(book: Path):
    assert (book / "_static" / "plotly.min.js").stat().st_size > 1_000_000
    for path in pages_of(book):
        assert path.stat().st_size < 3_000_000, f"{path.name} carries a script of its own"


@dataclass(frozen=True)
class Opened:
    """A page after its scripts have run."""

    dom: str
    console: tuple[str, ...]
    asked: frozenset[str]


def open_in_browser(page: Path, folder: Path, *options: str) -> Opened:
    """Open a page from the disk, with every host out of reach."""
    command = [
        str(CHROMIUM),
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--disable-background-networking",
        "--no-first-run",
        f"--user-data-dir={folder / 'profile'}",
        f"--log-net-log={folder / 'net.json'}",
        "--host-resolver-rules=MAP * ~NOTFOUND",
        "--virtual-time-budget=30000",
        "--enable-logging=stderr",
        "--dump-dom",
        *options,
        page.as_uri(),
    ]
    done = subprocess.run(
        command, capture_output=True, text=True, errors="replace", timeout=PATIENCE_S
    )
    asked = set()
    for event in json.loads((folder / "net.json").read_text(errors="replace"))["events"]:
        asking = event.get("params", {})
        if asking.get("initiator", NOT_A_PAGE) != NOT_A_PAGE and ELSEWHERE.match(asking["url"]):
            asked.add(urlsplit(asking["url"]).netloc)
    console = re.findall(r"CONSOLE.*", done.stderr)
    return Opened(done.stdout, tuple(console), frozenset(asked))


def errors_in(console: tuple[str, ...]) -> list[str]:
    """Messages that tell of something broken."""
    return [line for line in console if re.search(r"\] \".*(error|uncaught|failed)", line, re.I)]


needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")


@needs_browser
@pytest.mark.slow
def test_formulas_and_charts_are_drawn_in_a_browser_without_a_network(book: Path, tmp_path: Path):
    drawn = {"formulas": 0, "charts": 0}
    for path in (book / "index.html", book / "intro.html", *sorted(book.glob("notebooks/*.html"))):
        page, opened = read_page(path), open_in_browser(path, tmp_path)
        assert "</html>" in opened.dom, path.name
        assert errors_in(opened.console) == [], path.name
        assert opened.asked == frozenset(), path.name
        formulas = len(re.findall(r'class="math notranslate', page.text))
        charts = len(re.findall(r'class="[^"]*plotly-graph-div', page.text))
        assert opened.dom.count("<mjx-container") >= formulas, path.name
        assert "<mjx-merror" not in opened.dom, path.name
        assert len(re.findall(r'class="main-svg"', opened.dom)) >= charts, path.name
        drawn["formulas"] += formulas
        drawn["charts"] += charts
    assert drawn["formulas"] >= 7
    assert drawn["charts"] >= 1


COUNT_CUT_TABLES = """<script>addEventListener("load", () => {
  const tables = [...document.querySelectorAll(".bd-article table")];
  const cut = tables.filter(table => table.offsetWidth > table.parentElement.clientWidth);
  document.body.dataset.tables = `${tables.length} tables, ${cut.length} cut`;
})</script></body>"""


@needs_browser
@pytest.mark.slow
def test_tables_are_wholly_there_in_a_window_of_1200_pixels(book: Path, tmp_path: Path):
    for path in (book / "intro.html", *sorted(book.glob("notebooks/*.html"))):
        counting = path.with_name("counting.html")
        counting.write_text(path.read_text().replace("</body>", COUNT_CUT_TABLES))
        dom = open_in_browser(counting, tmp_path, "--window-size=1200,2000").dom
        counting.unlink()
        told = re.search(r'data-tables="(\d+) tables, (\d+) cut"', dom)
        assert told, path.name
        assert int(told[1]) >= 6 or path.name != "intro.html"
        assert int(told[2]) == 0, path.name


@needs_browser
def test_the_browser_check_sees_what_it_is_for(tmp_path: Path):
    page = tmp_path / "page.html"
    page.write_text(
        '<html><body><script src="https://cdn.example/a.js"></script>'
        "<script>throw new Error('broken')</script></body></html>"
    )
    opened = open_in_browser(page, tmp_path)
    assert opened.asked == {"cdn.example"}
    assert any("broken" in line for line in errors_in(opened.console))


def spoil(outputs: Path, **changes: object) -> None:
    manifest = read_manifest(outputs) or {}
    RunFolder(outputs).write_json("manifest.json", {**manifest, **changes})


@pytest.mark.parametrize("status", ["running", "failed", "partial"])
def test_no_book_of_a_run_that_is_not_complete(copied_run: Path, status: str):
    spoil(copied_run, status=status)
    with pytest.raises(RunError, match=f"the run is {status}"):
        build_book(copied_run)
    assert not (copied_run / "_build").exists()


def test_no_book_without_a_run(tmp_path: Path):
    with pytest.raises(RunError, match="no finished run"):
        build_book(tmp_path)
    assert main(["book", "--outputs", str(tmp_path)]) == RunError.exit_code


def test_no_book_with_an_error_or_a_page_missing(copied_run: Path):
    path = copied_run / "notebooks" / "04_scenarios.ipynb"
    notebook = nbformat.read(path, as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    code[1].outputs = [nbformat.v4.new_output("error", ename="E", evalue="x", traceback=[])]
    nbformat.write(notebook, path)
    with pytest.raises(RunError, match=r"04_scenarios.*holds an error"):
        build_book(copied_run)
    path.unlink()
    with pytest.raises(MissingArtefactError, match="run 04_scenarios again"):
        build_book(copied_run)


@pytest.mark.parametrize("name", ["coverage.png", "frontier.json", "backtest_summary.json"])
def test_no_book_without_what_the_landing_page_shows(copied_run: Path, name: str):
    (copied_run / name).unlink()
    with pytest.raises(MissingArtefactError, match=name):
        build_book(copied_run)
    assert not (copied_run / "_build").exists()


def test_figures_that_are_not_as_expected_are_not_passed_over(copied_run: Path):
    folder = RunFolder(copied_run)
    for name, content in (
        ("coverage.json", {"dam": {"original": {"q10": {"nominal": 0.1}}}}),
        ("frontier.json", {"fans": {}}),
        ("backtest_summary.json", {"rules": {"a": 1}, "policies": {}}),
        ("backtest_summary.json", {"rules": {}, "policies": {"a": {}}}),
    ):
        kept = folder.read_json(name)
        folder.write_json(name, content)
        with pytest.raises(DataError, match=f"{name}: not as expected"):
            headline(copied_run)
        folder.write_json(name, kept)
    assert "nothing committed" in headline(copied_run)


@pytest.fixture
def broken_page(copied_run: Path) -> Path:
    """A finished run with a page that links to nothing."""
    path = copied_run / "notebooks" / "01_features.ipynb"
    notebook = nbformat.read(path, as_version=4)
    notebook.cells.append(nbformat.v4.new_markdown_cell("See [nowhere](nowhere.md)."))
    nbformat.write(notebook, path)
    return copied_run


def test_a_warning_is_an_error_and_leaves_no_half_book(broken_page: Path):
    (broken_page / "_build" / "html").mkdir(parents=True)
    (broken_page / "_build" / "html" / "index.html").write_text("an earlier book")
    with pytest.raises(RunError, match=r"(?s)build\.log.*nowhere"):
        build_book(broken_page)
    assert not (broken_page / "_build").exists()


def test_a_new_run_takes_the_earlier_book_away(dummy_run: Path, copied_run: Path):
    (copied_run / "_build" / "html").mkdir(parents=True)
    notebooks = dummy_run.parent / "notebooks"
    parameters = profiles.resolve(str(dummy_run.parent / "empty.yaml"), notebooks=notebooks)
    run_notebooks(parameters, copied_run, only=["02"], quiet=True, notebooks=notebooks)
    assert not (copied_run / "_build").exists()


def test_the_command_prints_the_place_and_the_headline(
    copied_run: Path, capsys: pytest.CaptureFixture[str]
):
    assert main(["book", "--outputs", str(copied_run)]) == 0
    told = capsys.readouterr().out
    assert str(copied_run / "_build" / "html" / "index.html") in told
    assert re.search(r"nothing committed +9\.00 +\+0\.00 +90\.0 %", told)
    assert "Market: synthetic, not real prices" in told


def test_the_verdict_says_who_leads_in_lakh_and_how_sure_that_is(tmp_path):
    ahead = {"ahead_rs": 1_234_000.0, "low_rs": -260_000.0, "high_rs": 2_500_000.0}
    lead = {
        "settlement": "with causal recourse",
        "policy": "yesterday",
        "over": {"two_stage_original": ahead},
    }
    RunFolder(tmp_path).write_json("backtest_summary.json", {"lead": lead})
    told = verdict(tmp_path)
    assert "The largest net in this run, with causal recourse, is that of **" in told
    assert "esterday" in told.split("**")[1]
    assert "12.3 lakh Rs ahead of " in told
    assert "-2.6 to 25.0 (5 to 95 %)" in told


def test_the_tables_of_policies_and_of_the_frontier_are_in_lakh(tmp_path):
    run = RunFolder(tmp_path)
    net = {"net_rs_causal": 1_234_000.0, "gain_over_nothing_causal_rs": 250_000.0, "net_rs": 9e5}
    run.write_json("backtest_summary.json", {"policies": {"yesterday": net}})
    (row,) = policy_rows(tmp_path)
    assert (row["Causal net, lakh Rs"], row["Causal gain"]) == ("12.34", "+2.50")
    assert row["Hindsight net"] == "9.00"
    point = {"lambda": 0.1, "planned_mean_rs": 1.5e5, "realised_cvar_rs": -5e4}
    run.write_json("frontier.json", {"fans": {"original": [point]}})
    (row,) = frontier_rows(tmp_path)
    assert (row["Planned mean, lakh Rs"], row["Realised CVaR"]) == ("1.50", "-0.50")
