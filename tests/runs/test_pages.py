"""An executed notebook becomes a page: folded, numbered, linked, with its downloads."""

import base64
import re

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from bessvpp.files import PROJECT_ROOT
from bessvpp.runs.pages import Links, executed_copy, page_of
from bessvpp.runs.profiles import notebook_paths

LINKS = Links({"Koenker and Bassett, 1978": "koenker1978"}, ("day-ahead market", "DAM"))
PNG = base64.b64encode(b"wide").decode()


def output(shown, **told):
    return new_output("display_data", shown, metadata={"book": told} if told else {})


def page(tmp_path, *cells):
    notebook = new_notebook(cells=[new_markdown_cell("# 3. Title\n\nText."), *cells])
    return page_of(notebook, "03_name", tmp_path, LINKS)


def test_the_title_loses_its_number_and_gains_the_notebook(tmp_path):
    first = page(tmp_path).cells[0].source
    assert first.startswith("# Title\n")
    assert "../downloads/03_name.ipynb" in first
    assert first.endswith("Text.")


def test_all_code_folds_and_what_shows_nothing_folds_with_the_next(tmp_path):
    silent, loud = new_code_cell("a = 1"), new_code_cell("a", outputs=[output({"text/plain": "1"})])
    last = new_code_cell("b = 2")
    _, merged, alone = page(tmp_path, silent, loud, last).cells
    assert merged.source == "a = 1\n\na"
    assert alone.source == "b = 2"
    assert all("hide-input" in cell.metadata["tags"] for cell in (merged, alone))


def test_parameters_stand_alone_and_their_defaults_are_not_shown(tmp_path):
    given = new_code_cell("n = 1", metadata={"tags": ["parameters"]})
    injected = new_code_cell("n = 2", metadata={"tags": ["injected-parameters"]})
    _, first, second, third = page(tmp_path, given, injected, new_code_cell("c = 3")).cells
    assert "remove-cell" in first.metadata["tags"]
    assert second.metadata["mystnb"]["code_prompt_show"] == "Parameters of this run"
    assert (second.source, third.source) == ("n = 2", "c = 3")


def test_a_picture_is_a_figure_with_words_data_and_a_shape_for_phones(tmp_path):
    phone = base64.b64encode(b"narrow").decode()
    shown = output({"image/png": PNG}, says="What is seen.", phone=phone, data="x,y\n1,2\n")
    text = output({"text/plain": "kept"})
    _, code, figure = page(tmp_path, new_code_cell("draw()", outputs=[shown, text])).cells
    assert [out["data"] for out in code.outputs] == [{"text/plain": "kept"}]
    assert figure.source.startswith("```{figure} ../figures/03-1.png\n:name: figure-03-1\n")
    assert ":alt: What is seen." in figure.source
    assert "../downloads/figure-03-1.csv" in figure.source
    assert (tmp_path / "figures/03-1.png").read_bytes() == b"wide"
    assert (tmp_path / "_extra/_images/03-1-phone.png").read_bytes() == b"narrow"
    assert (tmp_path / "_extra/downloads/figure-03-1.csv").read_text() == "x,y\n1,2\n"


def test_a_checked_table_is_shown_as_the_book_has_it(tmp_path):
    checked = output({"text/plain": "pinball 3"}, table="<table>Pinball loss</table>")
    (_, code) = page(tmp_path, new_code_cell("show", outputs=[checked])).cells
    assert code.outputs[0]["data"]["text/html"] == "<table>Pinball loss</table>"


def test_a_table_has_its_figures_to_download_as_they_were_before_rounding(tmp_path):
    plain = output({"text/html": "<table>a</table>"}, data="Row,Net\nx,1.25\n")
    checked = output({"text/plain": "1.2"}, table="<table>b</table>")
    checked.metadata["unrounded"] = [["dam, original", "pinball", 1.23, 1]]
    words = output({"text/html": "<p>No table.</p>"})
    _, code = page(tmp_path, new_code_cell("show", outputs=[plain, checked, words])).cells
    shown = [one["data"]["text/html"] for one in code.outputs]
    assert ["Data (CSV)" in html for html in shown] == [True, True, False]
    assert "../downloads/table-03-2.csv" in shown[1]
    kept = tmp_path / "_extra/downloads"
    assert (kept / "table-03-1.csv").read_text() == "Row,Net\nx,1.25\n"
    told = (kept / "table-03-2.csv").read_text()
    assert told == 'row,column,value\n"dam, original",pinball,1.23\n'


def test_formulas_are_numbered_through_a_chapter(tmp_path):
    cells = new_markdown_cell("$$ a $$\n\nand $b$\n\n$$ c $$"), new_markdown_cell("$$\nd\n$$")
    told = "\n".join(cell.source for cell in page(tmp_path, *cells).cells)
    assert re.findall(r"\$\$ \((formula-03-\d)\)", told) == [f"formula-03-{k}" for k in (1, 2, 3)]
    assert "$b$\n" in told


def test_works_are_cited_and_terms_linked_where_they_come_first_and_in_prose_alone():
    linked = set()
    told = LINKS.into("The DAM, `DAM` and $DAM$ (Koenker and Bassett, 1978); DAMs.", linked)
    assert told == "The {term}`DAM`, `DAM` and $DAM$ ({cite:alp}`koenker1978`); DAMs."
    assert LINKS.into("DAM again, after Koenker and Bassett (1978).", linked) == (
        "DAM again, after Koenker and Bassett ({cite:year}`koenker1978`)."
    )
    assert LINKS.into("## The DAM\n[DAM](x.md)", set()) == "## The DAM\n[DAM](x.md)"


def test_terms_within_terms_are_not_linked_again():
    assert LINKS.into("day-ahead market (DAM)", set()) == "{term}`day-ahead market` ({term}`DAM`)"


def test_the_downloaded_notebook_has_what_ran_and_nothing_for_the_book_alone():
    notebook = new_notebook(
        cells=[new_code_cell("x", outputs=[output({"image/png": PNG}, says="s")])]
    )
    copy = executed_copy(notebook)
    assert copy.cells[0].outputs[0]["data"] == {"image/png": PNG}
    assert copy.cells[0].outputs[0]["metadata"] == {}
    assert notebook.cells[0].outputs[0]["metadata"] == {"book": {"says": "s"}}


@pytest.mark.parametrize("path", notebook_paths().values(), ids=notebook_paths())
def test_every_work_that_a_chapter_cites_is_in_the_bibliography(path):
    links = Links.of(PROJECT_ROOT / "docs")
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type == "markdown":
            told = links.into(cell.source, set(links.terms))
            assert re.findall(r"[A-Z][\w-]+(?:, | et al\., | \()(?:19|20)\d\d\b", told) == []


def test_every_work_of_the_bibliography_is_cited_in_a_chapter():
    links = Links.of(PROJECT_ROOT / "docs")
    told = "".join(
        links.into(cell.source, set(links.terms))
        for path in notebook_paths().values()
        for cell in nbformat.read(path, as_version=4).cells
        if cell.cell_type == "markdown"
    )
    assert set(re.findall(r"\{cite:\w+\}`(\w+)`", told)) == set(links.works.values())


def test_controls_that_need_a_kernel_are_on_no_page_and_in_no_download(tmp_path):
    kind = "application/vnd.jupyter.widget-view+json"
    sliders = output({kind: {"model_id": "a"}, "text/plain": "VBox()"})
    table = output({"text/html": "<table></table>", "text/plain": "a"})
    cell = new_code_cell("ask()", outputs=[sliders, table])
    notebook = new_notebook(cells=[new_markdown_cell("# 5. Title"), cell])
    notebook.metadata["widgets"] = {"application/vnd.jupyter.widget-state+json": {"state": {}}}
    for shown in (executed_copy(notebook), page_of(notebook, "05_name", tmp_path, LINKS)):
        assert "widgets" not in shown.metadata
        assert kind not in nbformat.writes(shown)
        assert shown.cells[-1].outputs[0].data["text/html"] == "<table></table>"
