"""The book as one document, printed by a browser that is installed."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from bessvpp.errors import RunError
from bessvpp.runs.book import run_sphinx

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
PATIENCE_S = 600


def print_book(outputs: Path) -> Path:
    """Print the book that was built in a run's folder; the path of ``book.pdf`` there.

    All pages are set as one, with code left out and claims unfolded, and no host is asked.

    Raises
    ------
    RunError
        where no browser is installed, or it prints nothing.
    """
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        raise RunError("a PDF is printed by Chromium or Chrome, and none is installed")
    printed = outputs / "book.pdf"
    printed.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        run_sphinx(
            outputs / "book_source",
            Path(folder),
            "--builder",
            "custom",
            "--custom-builder",
            "singlehtml",
        )
        page = Path(folder) / "_build" / "singlehtml" / "intro.html"
        options = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        options += ["--host-resolver-rules=MAP * ~NOTFOUND", "--virtual-time-budget=120000"]
        options += [f"--user-data-dir={folder}/profile", "--no-pdf-header-footer"]
        command = [browser, *options, f"--print-to-pdf={printed}", f"{page.as_uri()}#print"]
        told = subprocess.run(
            command,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=PATIENCE_S,
            env=os.environ | {"HOME": folder},
        )
    if not printed.is_file():
        raise RunError(f"{browser} printed nothing\n{told.stderr[-2000:]}")
    return printed
