"""A notebook's own parameters: which value wins where it is run by itself.

A value that papermill injects was given. One that stands in the notebook was given if it is not
the one that the project's notebooks come with; otherwise parameter files of the user's own win
over it. ``bessvpp run`` injects every value (``profiles``).
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Collection, Mapping, MutableMapping
from pathlib import Path
from typing import Any

from bessvpp.errors import ParameterError
from bessvpp.files import PARAMS
from bessvpp.params.load import FIELDS, Params, load_params, read_yaml, suggestion
from bessvpp.runs.profiles import PROFILES


def notebook_parameters(namespace: MutableMapping[str, Any], *names: str) -> dict[str, Any]:
    """Values of a notebook's parameters that are fields of a section.

    Where ``params`` names a folder, its values replace those that the notebook comes with, in the
    ``namespace`` as well; a value that was given, by papermill or by editing the cell, stays. That
    an edited one replaces a file's is said.

    Parameters
    ----------
    namespace : the notebook's ``globals()``
    names : all parameters that it declares besides ``outputs`` and ``params``

    Raises
    ------
    ParameterError
        where papermill injected a parameter that the notebook does not declare (papermill
        itself only warns), or the files are refused.

    Examples
    --------
    >>> n_scenarios = 80  # in the cell tagged ``parameters``
    >>> bv.load_params(**bv.notebook_parameters(globals(), "n_scenarios")).scenarios.n_scenarios
    80
    """
    injected = _injected(namespace, {"outputs", "params", *names})
    fields, ours = [name for name in names if name in FIELDS], _ours()
    edited = {n: namespace[n] for n in fields if n not in injected and namespace[n] != ours[n]}
    folder = namespace.get("params") or ""
    if folder:
        given = edited | {name: namespace[name] for name in fields if name in injected}
        files = _values(load_params(folder, **given))
        namespace.update({name: files[name] for name in fields if name not in given})
    for name, value in edited.items():
        path = Path(folder or PARAMS) / f"{FIELDS[name]}.yaml"
        asked = read_yaml(path).get(name) if path.is_file() else None
        if asked not in (None, value):
            print(
                f"note: {name} is {value!r}, as this notebook says; {path}: {asked!r} is not used",
                file=sys.stderr,
            )
    return {name: namespace[name] for name in fields}


def _injected(namespace: Mapping[str, Any], declared: Collection[str]) -> set[str]:
    """Names that papermill set, in its cell as it was last run; they must all be declared."""
    cells = [source for source in namespace.get("In", ()) if source.startswith("# Parameters")]
    found: set[str] = set()
    for node in ast.parse(cells[-1]).body if cells else ():
        found |= {target.id for target in getattr(node, "targets", ())}
    for key in sorted(found - set(declared)):
        hint = suggestion(key, sorted(declared))
        raise ParameterError(f"this notebook has no parameter '{key}'{hint}")
    return found


def _ours() -> dict[str, Any]:
    """Values that the project's notebooks come with: the quick profile's, else the files'."""
    quick = PROFILES / "quick.yaml"
    return _values(load_params()) | (read_yaml(quick) if quick.is_file() else {})


def _values(params: Params) -> dict[str, Any]:
    """All fields by name, as YAML has them."""
    sections = params.model_dump(mode="json").values()
    return {key: value for section in sections for key, value in section.items()}
