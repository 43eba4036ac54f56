"""What tests of the built book share: its pages, what they load, and a browser to open them in."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
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


def missing_targets(html: Path) -> list[str]:
    """What a page of a book loads or links that is not there, the place on a page included."""
    missing = []
    for path in pages_of(html):
        page = read_page(path)
        for target in (*page.loads, *page.links):
            parts = urlsplit(target)
            if parts.scheme or parts.netloc:
                continue
            there = path.parent / unquote(parts.path) if parts.path else path
            place = unquote(parts.fragment)
            if not there.exists() or (
                place and there.suffix == ".html" and f'id="{place}"' not in read_page(there).text
            ):
                missing.append(f"{path.name}: {target}")
    return missing
