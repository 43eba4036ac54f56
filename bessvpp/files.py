"""Paths and atomic writing."""

from __future__ import annotations

import contextlib
import io
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from bessvpp.errors import ParameterError, StorageError

PACKAGE = Path(__file__).resolve().parent


def _project_root() -> Path:
    """The checkout that the package lies in; once installed, where Python was started."""
    checkout = PACKAGE.parent
    return checkout if (checkout / "pyproject.toml").is_file() else Path.cwd()


def _params() -> Path:
    """The project's parameter files; those that came with the package where it has none."""
    own = PROJECT_ROOT / "params"
    return own if (own / "market.yaml").is_file() else PACKAGE / "params" / "defaults"


PROJECT_ROOT = _project_root()
PARAMS = _params()


@contextlib.contextmanager
def atomic_file(path: Path) -> Iterator[io.BufferedWriter]:
    """A binary file that appears at ``path`` only when it is complete.

    Raises
    ------
    StorageError
        where the folder cannot be made or the disk is full; ``path`` is left as it was.
    """
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(descriptor, "wb") as handle:
            yield handle
            handle.flush()
            os.fsync(handle.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except OSError as error:
        raise StorageError(
            f"{path} could not be written: {error.strerror or error}. "
            "Free some space or choose another folder; nothing there was changed"
        ) from error
    finally:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)


def user_path(value: str) -> Path:
    """A path that a user typed; relative ones start where the command was typed."""
    if not value:
        raise ParameterError("a path must not be empty")
    return Path(value).expanduser().absolute()
