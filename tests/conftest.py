"""A small run that several tests read: made once, never changed."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings
from price_cases import DAY, prices, snapshot
from small_cases import PATIENCE_S, Study, make_market, make_params, make_study, write_study
from stand_in import REAL, Downloads, write_stand_in
from xdist.scheduler import LoadScopeScheduling

from bessvpp.runs.folder import RunFolder

GROUPS = {
    "notebooks/": "notebooks",
    "tests/runs/test_book": "book",  # and in the browser
    "tests/runs/test_pdf": "book",
}
"""By how their paths begin: tests that one process runs, since they share what they make."""
KERNELS = {"three", "dummy_run", "real_run", "book"}
"""Fixtures whose notebooks are run; each takes a kernel, and seconds."""

settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("any machine")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what runs notebooks; nbval waits 5 seconds for a cell's outputs, and has no option.

    What the project's book is tested by comes first, since it takes longest.
    """
    items.sort(key=lambda item: not item.nodeid.endswith("[real]"))
    for item in items:
        if KERNELS.intersection(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.slow)
        if hasattr(item, "output_timeout"):
            item.output_timeout = PATIENCE_S


class Together(LoadScopeScheduling):
    """A process for each file of tests; one for all notebooks, one for a book and all its tests."""

    def _split_scope(self, nodeid: str) -> str:
        path = nodeid.split("::")[0]
        group = next((group for start, group in GROUPS.items() if path.startswith(start)), path)
        return f"real {group}" if nodeid.endswith("[real]") else group  # a small one is the other


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> Together:
    """In place of the schedulers that ``--dist`` names."""
    return Together(config, log)


@pytest.fixture(scope="session")
def study() -> Study:
    """Seventy hourly days, the last four of them to test on."""
    return make_study(make_params(), make_market(70, bids=True))


@pytest.fixture(scope="session")
def study_run(study, tmp_path_factory) -> RunFolder:
    """The artefacts of ``study``; to be read only."""
    run = RunFolder(tmp_path_factory.mktemp("study"))
    write_study(run, study)
    return run


@pytest.fixture(scope="session", params=["real", "stand-in"])
def downloads(request, tmp_path_factory) -> Downloads:
    """The exchange's own files where they are, and the stand-in everywhere."""
    if request.param == "stand-in":
        return write_stand_in(tmp_path_factory.mktemp("downloads"))
    if not REAL.is_dir():
        pytest.skip(f"the exchange's own files are not at {REAL}; the stand-in is read instead")
    return Downloads(REAL, is_real=True)


@pytest.fixture(autouse=True, scope="session")
def _own_cache(tmp_path_factory):
    """Tables that tests read are not kept in the project's own cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BESSVPP_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture
def day():
    """Cells of one DAM day, and its prices."""
    values = prices(96)
    return snapshot([DAY], values), values
