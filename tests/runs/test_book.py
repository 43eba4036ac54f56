"""The built book: complete, and without a word to another host."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import nbformat
import pytest
from book_cases import foreign_loads, missing_targets, pages_of, read_page
from dummy_notebooks import NAMES

from bessvpp.__main__ import main
from bessvpp.errors import DataError, MissingArtefactError, RunError
from bessvpp.runs import profiles
from bessvpp.runs.book import build_book
from bessvpp.runs.folder import RunFolder
from bessvpp.runs.headline import frontier_rows, headline, policy_rows, verdict
from bessvpp.runs.manifest import read_manifest
from bessvpp.runs.pipeline import run_notebooks


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


def test_the_page_of_the_package_says_the_shape_of_what_is_handed_over(book: Path):
    text = re.sub(r"<[^>]+>", "", (book / "docs" / "api.html").read_text(encoding="utf-8"))
    assert "dam_mw: (T,) committed, positive sells" in text  # as a comment says it
    assert "dam_mcp, rtm_mcp: (D, T) Rs/MWh, NaN where" in text  # as a docstring does


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
    assert missing_targets(book) == []


def test_a_link_to_no_page_and_one_to_no_place_are_seen(tmp_path: Path):
    (tmp_path / "a.html").write_text('<a href="b.html#here">x</a><a href="b.html#there">x</a>')
    (tmp_path / "b.html").write_text('<p id="here"><a href="#nowhere">x</a><img src="c.png"></p>')
    missing = {"a.html: b.html#there", "b.html: c.png", "b.html: #nowhere"}
    assert set(missing_targets(tmp_path)) == missing


def test_the_landing_page_shows_three_figures_the_frontier_and_where_prices_come_from(book: Path):
    text = read_page(book / "intro.html").text
    assert text.count('<span class="figure">') == text.count('<span class="band">') == 3
    assert 'class="interactive" id="frontier"' in text
    assert "synthetic, not real prices" in text
    assert "Nothing committed" in text
    for page in pages_of(book):
        assert "{{" not in re.sub(
            r"<(script|pre).*?</\\1>", "", read_page(page).text, flags=re.DOTALL
        )


def test_how_long_chapters_took_is_said_by_their_titles_with_links(book: Path):
    table = re.findall(r"<table.*?</table>", read_page(book / "intro.html").text, re.DOTALL)[-1]
    assert "Peak memory" in table
    rows = re.findall(r'(\d)\. <a [^>]*href="(notebooks/[^"]+)"[^>]*>(.*?)</a>', table, re.DOTALL)
    assert [row[:2] for row in rows] == [(name[1], f"notebooks/{name}.html") for name in NAMES]
    for _, path, linked in rows:
        title = re.search(r"<h1>(.*?)(?:</h1>|<a )", read_page(book / path).text, re.DOTALL)
        words = [re.sub(r"<[^>]*>", "", text).strip() for text in (linked, title[1])]
        assert words[1].endswith(words[0])  # the number may stand before it
        assert words[0]


def test_the_citation_names_the_licence_the_prices_and_the_whole_run(book: Path):
    manifest = read_manifest(book / "downloads") or {}
    prices = manifest["notebooks"]["01_features"]["artefacts"]["market.parquet"]
    text = re.sub(r"<[^>]*>", "", read_page(book / "docs/cite.html").text)
    for told in ("BSD-3-Clause", f"prices {prices[:12]}", manifest["parameters"]["sha256"][:12]):
        assert told in text


def test_every_table_of_figures_has_them_to_download(book: Path):
    for path in (book / "notebooks").glob("*.html"):
        text = read_page(path).text
        tables = re.findall(r'<table[^>]*class="[^"]*\bfigures(?! words)', text)
        assert text.count('class="table-data"') == len(tables), path.name


def test_the_plotting_script_is_there_once(book: Path):
    assert (book / "_static" / "plotly.min.js").stat().st_size > 1_000_000
    for path in pages_of(book):
        assert path.stat().st_size < 3_000_000, f"{path.name} carries a script of its own"


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


@pytest.mark.parametrize("name", ["coverage.json", "frontier.json", "backtest_daily.parquet"])
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
    assert "Nothing committed" in headline(copied_run)


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
    assert re.search(r"Nothing committed +9\.00 +\+0\.00 +– +– +90\.0 %", told)
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
    assert "Yesterday's prices" in told.split("**")[1]
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
