"""The door: every name is there, lazily, and its example runs."""

from __future__ import annotations

import doctest
import re
import subprocess
import sys
import tomllib

import numpy as np
import pytest
import yaml
from packaging.requirements import Requirement
from price_cases import DAY, both_markets
from small_cases import Study

import bessvpp as bv
from bessvpp.files import PROJECT_ROOT
from bessvpp.forecasting import intraday
from bessvpp.params.load import SECTIONS
from bessvpp.runs import contents
from bessvpp.runs.folder import RunFolder

NAMES = [name for name in bv.__all__ if name != "plots"]
PROJECT = tomllib.loads((PROJECT_ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = [line for lines in PROJECT["optional-dependencies"].values() for line in lines]


@pytest.fixture(scope="module")
def place(study: Study, study_run: RunFolder, tmp_path_factory):
    """A folder with a run, prices and a schedule, as the examples name them."""
    folder = tmp_path_factory.mktemp("door")
    (folder / "outputs").mkdir()
    run = RunFolder(folder / "outputs" / "quick")
    run.path.symlink_to(study_run.path)
    for name in SECTIONS:
        content = getattr(study.params, name).model_dump(mode="json")
        for key in {"dam_gate", "dam_results"} & content.keys():
            content[key] = f"{content[key] // 60:02d}:{content[key] % 60:02d}"
        run.write_text(f"params/{name}.yaml", yaml.safe_dump(content))
    sections = study.params.model_dump(mode="json")
    recorded = {"folder": str(run.path / "params"), "knobs": {}, "sections": sections}
    run.write_json("manifest.json", {"parameters": recorded})
    spreads = intraday.spread_training_set(study.market, study.splits.train, study.params.market)
    contents.save_intraday(run, intraday.train_spread_model(*spreads, study.params.forecast))
    (folder / "data" / "raw").mkdir(parents=True)
    both_markets(folder / "data" / "raw", [DAY])
    starts = np.datetime64("2025-08-07T00:00") + np.arange(96) * np.timedelta64(15, "m")
    rows = [f"{str(start).replace('T', ' ')},0.0" for start in starts]
    (folder / "schedule.csv").write_text("\n".join(["delivery_start,dam_mw", *rows]) + "\n")
    return folder


@pytest.mark.parametrize("name", NAMES)
def test_each_name_says_what_it_does_in_an_example_that_runs(name, place, monkeypatch):
    monkeypatch.chdir(place)
    found = doctest.DocTestFinder(recurse=False).find(getattr(bv, name), name, module=False)
    examples = [test for test in found if test.examples]
    assert examples, f"bv.{name} has no example"
    for test in examples:
        test.globs = {"bv": bv, "np": np}
        told: list[str] = []
        doctest.DocTestRunner().run(test, out=told.append)
        assert not told, "".join(told)


def in_a_process(*words: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, *words], capture_output=True, text=True, check=True)


def test_the_door_and_help_bring_no_library_along():
    heavy = ["numpy", "pandas", "scipy", "pydantic", "yaml", "lightgbm", "pulp", "matplotlib"]
    found = f"import sys; print([name for name in {heavy} if name in sys.modules])"
    assert in_a_process("-c", f"import bessvpp; {found}").stdout == "[]\n"
    assert in_a_process("-c", f"import bessvpp.__main__; {found}").stdout == "[]\n"


def test_planning_a_day_brings_no_model_picture_or_notebook_along():
    words = (
        "import sys, bessvpp as bv; bv.load_params, bv.plan_day, bv.sweep, bv.settle, bv.cvar;"
        "bv.Problem, bv.read_market, bv.embedded_market, bv.check_files, bv.replay, bv.load_desk;"
        "import bessvpp.calibration.conformal; print(*sys.modules)"
    )
    brought = {name.partition(".")[0] for name in in_a_process("-c", words).stdout.split()}
    ours = {_name(line) for line in PROJECT["dependencies"]}
    extras = {_name(line) for line in EXTRAS}
    imported = {"scikit-learn": "sklearn", "ipython": "IPython", "jupyter-book": "jupyter_book"}
    others = {imported.get(name, name) for name in extras - ours - {"bessvpp"}}
    assert not brought & others - {"pyarrow"}  # which pandas takes where it is there


def test_what_a_name_lacks_is_said_with_the_extra_that_brings_it():
    words = (
        "import sys; sys.modules['sklearn'] = None\nimport bessvpp as bv\n"
        "try: bv.copula_correlation\nexcept ModuleNotFoundError as error: print(error)"
    )
    assert "pip install 'bessvpp[forecast]'" in in_a_process("-c", words).stdout


def _name(requirement: str) -> str:
    return re.match(r"[\w-]+", requirement)[0].lower()


def test_each_dependency_is_pinned_to_a_version_that_it_allows():
    lines = (PROJECT_ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    pins = dict(re.findall(r"^([\w.-]+)==(\S+)", "\n".join(lines).lower(), re.MULTILINE))
    for line in (*PROJECT["dependencies"], *EXTRAS):
        requirement = Requirement(line)
        if requirement.name != "bessvpp":  # an extra that holds another
            assert requirement.specifier.contains(pins[requirement.name.lower()]), line


def test_readme_and_book_name_all_that_is_at_the_door():
    readme = (PROJECT_ROOT / "README.md").read_text(encoding="utf-8")
    table = readme.partition("## From Python")[2].partition("\n## ")[0]
    assert set(bv.__all__) <= set(re.findall(r"`(\w+)`", table))
    page = (PROJECT_ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    shown = re.findall(r"^\.\. auto\w+:: bessvpp\.(\w+)$", page, re.MULTILINE)
    assert sorted(shown) == sorted(NAMES)


def test_the_example_of_the_readme_runs(place, monkeypatch):
    readme = (PROJECT_ROOT / "README.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", readme, re.DOTALL)
    monkeypatch.chdir(place)
    assert " Rs on average" in in_a_process("-c", code).stdout


def test_without_a_command_it_says_what_there_is():
    told = in_a_process("-m", "bessvpp").stdout
    for command in ("run", "book", "plan", "trade", "check", "replay"):
        assert re.search(rf"^  bessvpp {command} .*  \w", told, re.MULTILINE)
