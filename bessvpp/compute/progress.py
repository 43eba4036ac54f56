"""A bar of what a long loop has done: rate and time to go."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Iterable, Iterator, Sized
from pathlib import Path
from typing import TypeVar

from tqdm import tqdm

Item = TypeVar("Item")

PROGRESS_FILE = "BESSVPP_PROGRESS_FILE"
"""Environment variable: where a runner wants the bar's text, in place of a terminal."""


def shown(items: Iterable[Item], label: str, total: int | None = None) -> Iterable[Item]:
    """The items as they come, and how far they are.

    On a terminal or in a notebook that a person runs, a text bar; under a runner, its text in
    the runner's file; else, and where ``CI`` is set, nothing.

    Parameters
    ----------
    total : how many they are, where they do not say so themselves
    """
    total = len(items) if isinstance(items, Sized) else total
    file = os.environ.get(PROGRESS_FILE)
    if file:
        return _told(items, total, label, Path(file))
    watched = sys.stderr.isatty() or "ipykernel" in sys.modules
    hidden = not watched or bool(os.environ.get("CI"))
    return tqdm(items, label, total, disable=hidden, leave=False, mininterval=0.5)


def _told(items: Iterable[Item], total: int | None, label: str, file: Path) -> Iterator[Item]:
    """As ``shown``, told in a file that a runner reads; it may vanish with the run."""
    began = time.monotonic()
    try:
        for done, item in enumerate(items, start=1):
            bar = tqdm.format_meter(done, total, time.monotonic() - began, 72, label)
            with contextlib.suppress(OSError):  # a bar never stops the work
                file.write_text(bar, encoding="utf-8")
            yield item
    finally:
        with contextlib.suppress(OSError):
            file.unlink(missing_ok=True)
