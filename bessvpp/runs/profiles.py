"""What a run is given: names, values, and which word wins.

The parameter files come first, then the profile, then ``-p key=value``. Every name must be
declared in the ``parameters`` cell of some notebook, and every value passes the same checks as
the parameter files, all before anything runs.
"""

from __future__ import annotations

import ast
import datetime as dt
import difflib
import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
import yaml

from bessvpp.errors import DataError, ParameterError, RunError
from bessvpp.files import PARAMS, PROJECT_ROOT, user_path
from bessvpp.params.bess import UnitParams
from bessvpp.params.forecast import OWN
from bessvpp.params.load import FIELDS, Params, load_params, read_yaml

NOTEBOOKS = PROJECT_ROOT / "notebooks"
PROFILES = PARAMS / "profiles"
PLACES = ("outputs", "params")  # set by --outputs and --params, never by -p
PATHS = ("data", *OWN)  # of files; by -p they start where the command was typed
NOT_HASHED = (
    "data",
    "date",
    "jobs",
    "scheduler",
)  # data is hashed by content; the others change no result


def notebook_paths(folder: Path | None = None) -> dict[str, Path]:
    """Notebooks of a folder by name, in the order in which they run."""
    folder = folder or NOTEBOOKS
    paths = {path.stem: path for path in sorted(folder.glob("[0-9][0-9]_*.ipynb"))}
    if not paths:
        raise RunError(f"{folder}: no notebooks there (names start with two digits)")
    return paths


def declared_parameters(path: Path) -> dict[str, Any]:
    """Names and literal values in a notebook's cell tagged ``parameters``."""
    cells = [
        cell.source
        for cell in nbformat.read(path, as_version=4).cells
        if "parameters" in cell.metadata.get("tags", [])
    ]
    if len(cells) != 1:
        raise ParameterError(f"{path}: needs one cell tagged 'parameters', has {len(cells)}")
    declared = {}
    for line in ast.parse(cells[0]).body:
        target = line.targets[0] if isinstance(line, ast.Assign) else getattr(line, "target", None)
        try:
            declared[target.id] = ast.literal_eval(line.value)
        except (AttributeError, ValueError):
            raise ParameterError(
                f"{path}: line {line.lineno} of the cell tagged 'parameters' is not "
                f"'name = plain value': {ast.unparse(line)}"
            ) from None
    return declared


def parse_assignments(assignments: Sequence[str]) -> dict[str, Any]:
    """``key=value`` words as typed; values are YAML, those of ``PATHS`` paths from where one is."""
    given: dict[str, Any] = {}
    for word in assignments:
        key, equals, text = word.partition("=")
        if not (equals and key.isidentifier()):
            raise ParameterError(f"-p {word}: write it as key=value")
        try:
            given[key] = text if key in (*PATHS, *PLACES) else yaml.safe_load(text)
        except yaml.YAMLError:
            raise ParameterError(f"-p {word}: the value is not readable as YAML") from None
    return given | {key: str(user_path(given[key])) for key in PATHS if given.get(key)}


def read_profile(profile: str) -> tuple[str, dict[str, Any]]:
    """Name and values of a profile: one of the project's, or a YAML file of one's own."""
    own = profile.endswith((".yaml", ".yml")) or os.sep in profile
    path = user_path(profile) if own else PROFILES / f"{profile}.yaml"
    if not own and not path.is_file():
        known = ", ".join(sorted(p.stem for p in PROFILES.glob("*.yaml")))
        raise ParameterError(f"no profile '{profile}'; there are {known}, or give a .yaml file")
    values = read_yaml(path)
    files = {key: str(PROJECT_ROOT / str(values[key])) for key in PATHS if values.get(key)}
    return path.stem, values | files


@dataclass(frozen=True)
class RunParameters:
    """Everything that a run is given, checked.

    profile : name of the profile
    folder : of the parameter files
    knobs : the value of each notebook parameter, ``outputs`` and ``params`` aside
    sections : the parameter files with the knobs put in
    given : names of those that the profile or ``-p`` gave, before the parameter files
    declared : for each notebook, the names that it declares
    data : where prices come from, and their sha256 unless they are synthetic
    overruled : values of parameter files of the user's own that the profile replaces, in words
    sha256 : of whatever changes a result
    """

    profile: str
    folder: Path
    knobs: dict[str, Any]
    given: tuple[str, ...]
    sections: Params
    declared: dict[str, tuple[str, ...]]
    data: dict[str, Any]
    overruled: tuple[str, ...]
    sha256: str

    def of_notebook(self, name: str, outputs: Path) -> dict[str, Any]:
        """The values that one notebook is given."""
        values = self.knobs | {"outputs": str(outputs), "params": str(self.folder)}
        return {key: values[key] for key in self.declared[name] if key in values}


def resolve(
    profile: str = "quick",
    given: Mapping[str, Any] | None = None,
    params: str = "",
    notebooks: Path | None = None,
) -> RunParameters:
    """Settle and check every parameter of a run; nothing is run or written.

    Raises
    ------
    ParameterError
        for a name that no notebook declares or a value that a section refuses.
    DataError
        where ``data`` names nothing that can be read.
    """
    literals = {name: declared_parameters(path) for name, path in notebook_paths(notebooks).items()}
    known = {key: value for declared in literals.values() for key, value in declared.items()}
    name, values = read_profile(profile)
    for origin, names in ((f"profile {name}", values), ("-p", given or {})):
        for key in names:
            _check_declared(key, origin, known)
    folder = user_path(params) if params else PARAMS
    overruled = _overruled(name, values, given or {}, folder) if params else ()
    values = {key: _plain_value(value) for key, value in {**values, **(given or {})}.items()}
    sections = load_params(folder, **{k: v for k, v in values.items() if k in FIELDS})
    dumped = sections.model_dump(mode="json")
    in_files = {key: value for section in dumped.values() for key, value in section.items()}
    knobs = {key: in_files.get(key, value) for key, value in known.items() if key not in PLACES}
    if "jobs" in knobs:
        knobs["jobs"] = os.cpu_count() or 1  # changes no result
    knobs |= values
    data = _data_fingerprint(str(knobs.get("data") or ""), dumped["market"])
    added = _added_files(sections)
    data |= added
    hashed = {key: value for key, value in knobs.items() if key not in NOT_HASHED}
    content = {"knobs": hashed, "sections": dumped, "data": data.get("sha256", data), **added}
    return RunParameters(
        profile=name,
        folder=folder,
        knobs=knobs,
        given=tuple(values),
        sections=sections,
        declared={notebook: tuple(declared) for notebook, declared in literals.items()},
        data=data,
        overruled=overruled,
        sha256=hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest(),
    )


def _check_declared(key: str, origin: str, known: Mapping[str, Any]) -> None:
    if key in PLACES:
        raise ParameterError(f"{origin}: {key}: give it with --{key}")
    if key in known:
        return
    if key in FIELDS or key in UnitParams.model_fields:
        where = f"in params/{FIELDS[key]}.yaml" if key in FIELDS else "by unit in params/bess.yaml"
        raise ParameterError(
            f"{origin}: {key}: is no notebook parameter; it is set {where} "
            "(copy the folder, change it there, and give it with --params FOLDER)"
        )
    close = difflib.get_close_matches(key, known, n=1)
    hint = f"did you mean '{close[0]}'?" if close else f"known are {', '.join(sorted(known))}"
    raise ParameterError(f"{origin}: {key}: no notebook declares such a parameter; {hint}")


def _overruled(
    profile: str, values: Mapping[str, Any], given: Mapping[str, Any], folder: Path
) -> tuple[str, ...]:
    """What a profile says otherwise than files of the user's own, and how to have these.

    What they have as the project's own files do was copied along, not asked for.
    """
    told = []
    for key in [key for key in values if key in FIELDS and key not in given]:
        path = folder / f"{FIELDS[key]}.yaml"
        asked = read_yaml(path).get(key) if path.is_file() else None
        if asked not in (None, values[key], read_yaml(PARAMS / path.name).get(key)):
            told.append(
                f"{path}: {key}: {asked} is not used, profile {profile} sets {values[key]}; "
                f"-p {key}={asked} uses it"
            )
    return tuple(told)


def _plain_value(value: Any) -> Any:
    return value.isoformat() if isinstance(value, dt.date) else value


def _data_fingerprint(data: str, market: Mapping[str, Any]) -> dict[str, Any]:
    if not data:
        synthetic = {key: value for key, value in market.items() if key.startswith("synthetic_")}
        return {"source": "synthetic", **synthetic}
    path = Path(data)
    if not path.exists():
        raise DataError(f"{path}: no such file or folder of exchange prices")
    files = [path] if path.is_file() else sorted(path.rglob("[!.]*"))
    files = [file for file in files if file.is_file()]
    if not files:
        raise DataError(f"{path}: is empty; put the exchange's downloads there")
    return {"source": str(path), "files": len(files), "sha256": sha256_of(files, path)}


def _added_files(sections: Params) -> dict[str, dict[str, str]]:
    """sha256 of the files that parameters name beside prices, by kind and name."""
    external = {item.file: "external in params/market.yaml" for item in sections.market.external}
    own = {getattr(sections.forecast, key): f"{key} of params/forecast.yaml" for key in OWN}
    found = {
        kind: {file: _added_fingerprint(file, told) for file, told in files.items() if file}
        for kind, files in (("external", external), ("own", own))
    }
    return {kind: prints for kind, prints in found.items() if prints}


def _added_fingerprint(file: str, told: str) -> str:
    path = PROJECT_ROOT / Path(file).expanduser()
    if not path.is_file():
        raise DataError(f"{path}: no such file ({told})")
    return sha256_of([path], path.parent)


def sha256_of(files: Sequence[Path], folder: Path) -> str:
    """Hash of the content of files, and of their names where there are several."""
    total = hashlib.sha256()
    for file in files:
        if len(files) > 1:
            total.update(f"{file.relative_to(folder).as_posix()}\n".encode())
        with file.open("rb") as handle:
            total.update(hashlib.file_digest(handle, "sha256").digest())
    return total.hexdigest()
