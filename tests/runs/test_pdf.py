"""The book as one document."""

import shutil

import pytest
from book_cases import CHROMIUM

from bessvpp.errors import RunError
from bessvpp.runs.book import build_book
from bessvpp.runs.pdf import print_book


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")
def test_the_book_is_printed_as_one_document(dummy_run, tmp_path):
    run = tmp_path / "out"
    shutil.copytree(dummy_run, run, ignore=shutil.ignore_patterns("_build", "book_source"))
    build_book(run)
    printed = print_book(run)
    assert printed == run / "book.pdf"
    content = printed.read_bytes()
    assert content.startswith(b"%PDF-")
    assert content.count(b"/Type /Page\n") >= 14, "each of seven chapters, and what surrounds them"


def test_without_a_browser_it_says_what_is_missing(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(RunError, match="Chromium or Chrome"):
        print_book(tmp_path)
