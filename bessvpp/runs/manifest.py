"""``manifest.json``: how the results in a run folder were made.

Schema 1: ``status`` is ``running``, ``failed``, ``complete``, or ``partial`` (all that was asked
for is done, yet some notebook was never run or is outdated). Each notebook's status is
``pending``, ``running``, ``failed``, ``complete`` or ``outdated``: run before a notebook that it
builds on wrote something else, or with other parameters.
"""

from __future__ import annotations

import datetime as dt
import importlib.metadata
import json
import platform
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bessvpp.errors import RunError
from bessvpp.files import PROJECT_ROOT
from bessvpp.params.forecast import OWN
from bessvpp.runs.folder import WRITTEN_BY, RunFolder
from bessvpp.runs.parameter_names import flat_parameters
from bessvpp.runs.profiles import NOT_HASHED, RunParameters, sha256_of

SCHEMA = 1
KNOWS_BATTERY = "05_two_stage_optimizer"
"""The first notebook that the battery has a bearing on; those before it know prices alone."""


def read_manifest(outputs: Path) -> dict[str, Any] | None:
    """The manifest of a run folder, ``None`` where there is none.

    Raises
    ------
    RunError
        where there is one that this version cannot read.
    """
    path = outputs / "manifest.json"
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        if manifest["schema"] != SCHEMA:
            raise ValueError(f"schema {manifest['schema']}, not {SCHEMA}")
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise RunError(
            f"{path}: not a manifest of this version ({error}); choose another folder, "
            "or delete that file to give this one up"
        ) from None
    return manifest


def new_manifest(
    parameters: RunParameters,
    folder: RunFolder,
    names: Sequence[str],
    chosen: Sequence[str],
    overwrite: bool,
) -> dict[str, Any]:
    """Manifest of a run that starts; results of other parameters are refused or removed."""
    previous = read_manifest(folder.path) or {"notebooks": {}, "parameters": {}}
    recorded: dict[str, Any] = {
        "knobs": parameters.knobs,
        "given": list(parameters.given),
        "folder": str(parameters.folder),
        "sections": parameters.sections.model_dump(mode="json"),
        "sha256": parameters.sha256,
    }
    entries = {name: previous["notebooks"].get(name, {"status": "pending"}) for name in names}
    if previous["parameters"] and previous["parameters"]["sha256"] != parameters.sha256:
        # one that failed in its first notebook has nothing to lose
        if not overwrite and any(folder.has_any_of(name) for name in names):
            raise RunError(
                f"{folder.path} holds results of other parameters "
                f"({_difference(previous, recorded, parameters.data)}); choose another folder "
                "with --outputs, or replace them with --overwrite"
            )
        for artefact, writer in WRITTEN_BY.items():
            if writer in chosen:
                _remove(folder.path / artefact)
        for name in _outdated(previous, recorded, parameters, names):
            if entries[name]["status"] == "complete":
                entries[name]["status"] = "outdated"
    for name in chosen:
        entries[name] = {"status": "pending", "artefacts": entries[name].get("artefacts")}
    return {
        "schema": SCHEMA,
        "status": "running",
        "profile": parameters.profile,
        "started": now(),
        "parameters": recorded,
        "data": parameters.data,
        "seeds": {
            key: value
            for section in recorded["sections"].values()
            for key, value in section.items()
            if "seed" in key
        },
        "versions": _versions(),
        "git": _git(),
        "notebooks": entries,
    }


def _outdated(
    previous: dict[str, Any],
    recorded: dict[str, Any],
    parameters: RunParameters,
    names: Sequence[str],
) -> list[str]:
    """Notebooks from the first one on that other parameters reach.

    A notebook parameter reaches those that declare it, the battery those from
    ``KNOWS_BATTERY`` on, anything else in the parameter files or the data all of them.
    """
    changed = _changed(previous, recorded, parameters.data).keys()
    battery = {key for key in changed if key.startswith("bess.")}
    for k, name in enumerate(names):
        reached = changed & set(parameters.declared[name])
        if name >= KNOWS_BATTERY:
            reached |= battery
        if reached or changed - battery - parameters.knobs.keys():
            return list(names[k:])
    return []


def _difference(previous: dict[str, Any], recorded: dict[str, Any], data: dict[str, Any]) -> str:
    changed = _changed(previous, recorded, data)
    told = [
        f"{key} {_brief(there)} there, {_brief(now)} now"
        for key, (there, now) in changed.items()
        if key != "data.sha256"
    ]
    if "data.sha256" in changed and "data" not in changed:
        told.insert(0, "other prices in the same place")
    told = told or ["from before parameters moved between files"]
    return "; ".join(told[:4]) + ("; ..." if len(told) > 4 else "")


def _brief(value: Any) -> str:
    """A value in one line; of a long one, such as a path, both ends."""
    text = str(value)
    return text if len(text) <= 60 else f"{text[:20]}...{text[-37:]}"


def _changed(
    previous: dict[str, Any], recorded: dict[str, Any], data: dict[str, Any]
) -> dict[str, tuple[Any, Any]]:
    """What differs, as it was and is: notebook parameters, other fields, and the data's parts."""

    def flat(parameters: dict[str, Any], source: dict[str, Any]) -> dict[str, Any]:
        own = {k: value for k, value in parameters["knobs"].items() if k not in NOT_HASHED}
        sections = flat_parameters(parameters["sections"])
        fresh = {key: v for key, v in sections.items() if key.split(".")[1] not in own}
        read = {f"data.{key}": source.get(key) for key in ("sha256", "external")}
        named = {key: parameters["sections"]["forecast"].get(key) for key in OWN}
        prints = {key: source.get("own", {}).get(file) for key, file in named.items()}
        files = {key: f"{sha256[:8]} of {named[key]}" for key, sha256 in prints.items() if sha256}
        return own | fresh | {"data": source.get("source")} | read | files

    old, new = flat(previous["parameters"], previous["data"]), flat(recorded, data)
    keys = [key for key in {**old, **new} if old.get(key) != new.get(key)]
    return {key: (old.get(key), new.get(key)) for key in keys}


def artefacts_of(name: str, outputs: Path) -> dict[str, str]:
    """sha256 of each artefact that a notebook has written."""
    hashes = {}
    for artefact, writer in WRITTEN_BY.items():
        path = outputs / artefact
        if writer == name and path.exists():
            files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
            hashes[artefact] = sha256_of(files, path)
    return hashes


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _versions() -> dict[str, str | None]:
    """Versions of Python and of each direct dependency."""
    found: dict[str, str | None] = {"python": platform.python_version()}
    requirements = PROJECT_ROOT / "requirements.txt"
    lines = requirements.read_text(encoding="utf-8").splitlines() if requirements.exists() else []
    for name in re.findall(r"^([\w.-]+)==", "\n".join(lines), re.MULTILINE):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = None
    return found


def _git() -> dict[str, Any] | None:
    """Commit of the project and whether files differ from it; ``None`` outside git."""
    command = ["git", "-C", str(PROJECT_ROOT), "status", "--porcelain=v2", "--branch"]
    if not (PROJECT_ROOT / ".git").exists():
        return None
    try:
        lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return None
    head = re.search(r"^# branch.oid (\w+)", lines, re.MULTILINE)
    return {
        "commit": head.group(1) if head else None,
        "dirty": any(not line.startswith("#") for line in lines.splitlines()),
    }


def now() -> str:
    """The time, UTC, to the second."""
    return dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
