"""The door: every name is there, lazily, and its example runs."""

from __future__ import annotations

import doctest
import os
import re
import subprocess
import sys
import tomllib

import numpy as np
import pytest
from compare_cases import write_backtest
from packaging.requirements import Requirement
from price_cases import DAY, both_markets
from small_cases import Study, write_parameters

import bessvpp as bv
from bessvpp.__main__ import main
from bessvpp.files import PROJECT_ROOT
from bessvpp.forecasting import intraday
from bessvpp.runs import contents
from bessvpp.runs.folder import RunFolder
from bessvpp.runs.profiles import declared_parameters

CALL = (
    r"papermill (?P<notebook>\S+) \S+ -p outputs (?P<outputs>\S+) "
    r"-p params (?P<params>\S+) -p fan (?P<fan>\S+)"
)
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
    write_parameters(run, study.params)
    sections = study.params.model_dump(mode="json")
    recorded = {"folder": str(run.path / "params"), "knobs": {}, "sections": sections}
    run.write_json("manifest.json", {"parameters": recorded})
    rules = study.params.market
    models = intraday.walk_forward_spreads(study.market, study.splits, study.params.forecast, rules)
    contents.save_intraday(run, models)
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


def test_a_worker_that_plans_and_settles_brings_no_trees_and_nothing_that_draws():
    heavy = ["lightgbm", "sklearn", "scipy.stats", "statsmodels", "matplotlib", "plotly", "IPython"]
    found = f"import sys; print([name for name in {heavy} if name in sys.modules])"
    assert in_a_process("-c", f"import bessvpp.backtest.frontier; {found}").stdout == "[]\n"


def test_only_who_scores_waits_for_the_library_of_scores():
    words = (
        "import sys, bessvpp.calibration.intraday, bessvpp.scenarios.surprises;"
        "print([name for name in ('scoringrules', 'numba') if name in sys.modules])"
    )
    assert in_a_process("-c", words).stdout == "[]\n"


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


@pytest.mark.slow
def test_the_walk_of_the_api_page_runs_and_is_made_of_names_at_the_door():
    page = (PROJECT_ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    assert re.findall(r"^(?:import|from) .*", code, re.MULTILINE) == ["import bessvpp as bv"]
    told = in_a_process("-c", code).stdout
    assert re.fullmatch(r"2024-02-27: [\d,]+ Rs planned, -?[\d,]+ Rs earned\n", told)


def stand_ins(folder, *names):
    """Commands that write down how they are called, a line a call, and do nothing else."""
    for name in names:
        path = folder / name
        path.write_text(f'#!/bin/sh\necho {name} "$@" >> {folder / "calls"}\n')
        path.chmod(0o755)
    return {**os.environ, "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"}


def place_of_runs(place, folder):
    """A folder of one's own with the run and the parameter files of another."""
    (folder / "outputs").mkdir()
    (folder / "outputs" / "quick").symlink_to(place / "outputs" / "quick")
    (folder / "params").symlink_to(place / "outputs" / "quick" / "params")
    return folder


def test_the_readmes_three_batteries_and_two_fans_are_what_it_says(place, tmp_path, capsys):
    readme = (PROJECT_ROOT / "README.md").read_text(encoding="utf-8")
    section = readme.partition("## Three batteries, two fans")[2].partition("\n## ")[0]
    (code,) = re.findall(r"```sh\n(.*?)```", section, re.DOTALL)
    commands, place = stand_ins(tmp_path, "python", "papermill"), place_of_runs(place, tmp_path)
    subprocess.run(["sh", "-e"], input=code, text=True, cwd=place, env=commands, check=True)
    first, *loop, last = (tmp_path / "calls").read_text().splitlines()
    assert first == "python -m bessvpp run --profile quick --only 01 02 03 04"
    told = [re.fullmatch(CALL, line).groupdict() for line in loop]
    sizes = []
    for call in told:
        assert (PROJECT_ROOT / call["notebook"]).is_file()
        assert (
            call.keys() - {"notebook"}
            <= declared_parameters(PROJECT_ROOT / call["notebook"]).keys()
        )
        params = bv.load_params(place / call["params"], fan=call["fan"])
        (unit,) = params.bess.units
        sizes.append((unit.e_nameplate_mwh, unit.e_max_mwh, call["fan"]))
        assert unit.name == bv.load_params().bess.units[0].name
        if len(sizes) == 1:  # what was copied is all that the notebook reads
            assert list(bv.open_run(place / call["outputs"], params).window.fans) == [call["fan"]]
        nets = [unit.e_max_mwh / 10, 2.0]
        write_backtest(
            place / call["outputs"], nets, plan=f"two_stage_{call['fan']}", params=params
        )
    fans = ("original", "recalibrated")
    assert sizes == [(mwh, 0.9 * mwh, fan) for mwh in (100, 200, 300) for fan in fans]
    assert last.startswith("python -m bessvpp compare outputs/fleet/100mwh-original ")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        assert main(last.split()[3:]) == 0
    text = capsys.readouterr().out
    assert "300mwh-recalibrated: +9.00 (+0.00 to +18.00) lakh Rs a day over 100mwh-original" in text
    assert re.search(r"nameplate energy, MWh +100 +100 +200 +200 +300 +300$", text, re.MULTILINE)
    assert (place / "outputs" / "fleet.html").is_file()


def test_without_a_command_it_says_what_there_is():
    told = in_a_process("-m", "bessvpp").stdout
    for command in ("run", "book", "plan", "trade", "close", "check", "replay", "compare"):
        assert re.search(rf"^  bessvpp {command} .*  \w", told, re.MULTILINE)
