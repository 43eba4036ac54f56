"""Finished work, kept so that an interrupted sweep goes on where it was.

An entry is named by the hash of everything its content depends on: the inputs, the text of the
rooms that compute it, and the solver's version. It begins with the checksum of the rest; one
that is damaged, cut short or lies under another's name is computed again, never trusted.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path

import numpy as np
from pydantic import BaseModel

from bessvpp.files import PACKAGE, atomic_file

FORMAT = 1
_DIGEST_BYTES = 32
_DECIDING_ROOMS = (
    *("battery", "ledger", "price_tick", "prices", "risk", "params", "market"),
    *("optimizer", "settlement", "backtest"),
)
_DECIDING_PACKAGES = ("highspy", "pulp", "numpy", "scipy", "numba")
Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class Cache:
    """A folder of entries; without one, or where it is not there, nothing is kept.

    Workers on another machine may not see the folder of the run: they compute all the same.
    """

    folder: Path | None = None

    def arrays(self, inputs: object, compute: Callable[[], Arrays]) -> Arrays:
        """The arrays computed from some inputs, from an entry if there is a sound one."""
        if self.folder is None or not self.folder.is_dir():
            return compute()
        key = fingerprint((FORMAT, code_hash(), inputs))
        path = self.folder / f"{key}.entry"
        found = read_entry(path, key)
        if found is None:
            found = compute()
            write_entry(path, key, found)
        return found

    def open(self) -> None:
        """Make the folder, so that entries are kept."""
        if self.folder is not None:
            self.folder.mkdir(parents=True, exist_ok=True)


NO_CACHE = Cache()
"""Keeps nothing."""


def read_entry(path: Path, key: str) -> Arrays | None:
    """The arrays kept under a key; ``None`` where there are none, or one bit of them changed."""
    try:
        content = path.read_bytes()
    except OSError:
        return None
    digest, payload = content[:_DIGEST_BYTES], content[_DIGEST_BYTES:]
    if digest != hashlib.sha256(key.encode() + payload).digest():
        return None
    with np.load(io.BytesIO(payload), allow_pickle=False) as arrays:
        return dict(arrays)


def write_entry(path: Path, key: str, arrays: Arrays) -> None:
    """Keep arrays under a key; ``StorageError`` where they cannot be written."""
    payload = io.BytesIO()
    np.savez(payload, **arrays)
    with atomic_file(path) as handle:
        handle.write(hashlib.sha256(key.encode() + payload.getvalue()).digest())
        handle.write(payload.getvalue())


@lru_cache(maxsize=1)
def code_hash() -> str:
    """Hash of the rooms that compute entries, and of the packages that they rest on."""
    return hash_of(_DECIDING_ROOMS, _DECIDING_PACKAGES)


def hash_of(rooms: Iterable[str], packages: Iterable[str]) -> str:
    """Hash of the text of rooms of this package, single files among them, and of versions."""
    total = hashlib.sha256()
    for room in rooms:
        place = PACKAGE / room
        for file in sorted(place.rglob("*.py")) or [place.with_suffix(".py")]:
            total.update(file.relative_to(PACKAGE).as_posix().encode() + file.read_bytes())
    for name in packages:
        total.update(f"{name} {version(name)}\n".encode())
    return total.hexdigest()


def fingerprint(value: object) -> str:
    """Hash of a value made of plain values, arrays, dataclasses, parameters and their groups.

    Raises
    ------
    TypeError
        for anything else: what cannot be told apart must not name an entry.
    """
    total = hashlib.sha256()
    _feed(value, total.update)
    return total.hexdigest()


def _feed(value: object, update: Callable[[bytes], object]) -> None:
    """Every part with its kind and size, so that no two values give the same bytes."""
    update(f"<{type(value).__name__}>".encode())
    if value is None or isinstance(value, bool | int | float | str | np.generic):
        text = repr(value).encode()
        update(f"{len(text)}:".encode() + text)
    elif isinstance(value, np.ndarray):
        update(f"{value.dtype.str}{value.shape}".encode())
        update(np.ascontiguousarray(value).tobytes())
    elif isinstance(value, BaseModel):
        _feed(value.model_dump_json(), update)
    elif isinstance(value, Mapping):
        _feed(sorted(value.items()), update)
    elif dataclasses.is_dataclass(value):
        _feed([(f.name, getattr(value, f.name)) for f in dataclasses.fields(value)], update)
    elif isinstance(value, list | tuple):
        update(f"{len(value)}:".encode())
        for item in value:
            _feed(item, update)
    else:
        raise TypeError(f"a {type(value).__name__} cannot name a cache entry")
