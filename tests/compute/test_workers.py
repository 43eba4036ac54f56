"""Any number of workers, here or on a cluster, gives the same; bars are seen where people look."""

from __future__ import annotations

import os
import sys
import time
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from small_cases import PATIENCE_S, foreseeing, make_market, make_params, make_window
from threadpoolctl import threadpool_info

from bessvpp.backtest.frontier import sweep_frontier, sweep_frontiers
from bessvpp.backtest.simulate import run_backtest
from bessvpp.compute import workers as workers_module
from bessvpp.compute.cache import Cache
from bessvpp.compute.workers import ONE, Work, Workers
from bessvpp.errors import InfeasibleError, ParameterError, RunError


def late(seconds: float, value: int) -> int:
    time.sleep(seconds)
    return value


def most_threads() -> int:
    np.ones((2, 2)) @ np.ones((2, 2))
    return max(library["num_threads"] for library in threadpool_info())


def pid() -> str:
    return str(os.getpid())


def fails() -> None:
    raise InfeasibleError("2024-03-09, lambda 0.3: no")


@pytest.fixture(scope="module")
def cluster():
    from dask.distributed import LocalCluster

    with (
        pytest.MonkeyPatch.context() as patch,
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as cluster,
    ):
        patch.setattr(workers_module, "PATIENCE", f"{PATIENCE_S}s")
        yield cluster.scheduler_address


@pytest.fixture(scope="module")
def window():
    return foreseeing(make_window(make_params(), make_market(11, seed=1)))


@pytest.mark.parametrize("jobs", [1, 2])
def test_results_come_in_the_order_of_the_tasks(jobs):
    tasks = [(late, 0.2 if k == 0 else 0.0, k) for k in range(5)]
    assert Workers(jobs).run(tasks, "late") == list(range(5))
    assert Workers(jobs).run([(most_threads,)] * 2, "threads") == [1, 1]
    assert Workers(jobs).run([], "nothing") == []


@pytest.mark.slow
def test_an_error_of_a_worker_keeps_its_kind_and_text():
    for workers in (ONE, Workers(2)):
        with pytest.raises(InfeasibleError, match=r"2024-03-09, lambda 0\.3"):
            workers.run([(late, 0.0, 1), (fails,)], "fails")


@pytest.mark.slow
def test_a_cluster_of_two_workers_gives_the_same_frontier_and_backtest(cluster, window, tmp_path):
    there = Workers(scheduler=cluster)
    pd.testing.assert_frame_equal(
        sweep_frontier(window, there).points, sweep_frontier(window).points, check_exact=True
    )
    one, other = run_backtest(window), run_backtest(window, there)
    pd.testing.assert_frame_equal(one.daily, other.daily, check_exact=True)
    assert there.run([(most_threads,)] * 4, "threads") == [1] * 4
    with pytest.raises(InfeasibleError, match=r"2024-03-09, lambda 0\.3"):
        there.run([(fails,)], "fails")


def test_a_cluster_of_another_version_is_refused(cluster, monkeypatch):
    monkeypatch.setattr(workers_module, "code_hash", pid)  # each process another
    with pytest.raises(RunError, match="workers of another version at tcp://"):
        Workers(scheduler=cluster).run([(late, 0.0, 1)], "x")


def test_a_scheduler_that_is_not_there_is_named(monkeypatch):
    monkeypatch.setattr(workers_module, "PATIENCE", "300ms")
    with pytest.raises(RunError, match=r"no Dask scheduler answers at tcp://127\.0\.0\.1:9"):
        Workers(scheduler="tcp://127.0.0.1:9").run([(late, 0.0, 1)], "x")
    with pytest.raises(RunError, match="no Dask scheduler answers at nonsense"):
        Workers(scheduler="nonsense://x").run([(late, 0.0, 1)], "x")


def test_without_dask_a_scheduler_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "dask.distributed", None)
    with pytest.raises(ParameterError, match=r"pip install 'bessvpp\[cluster\]'"):
        Workers(scheduler="tcp://127.0.0.1:8786").run([(late, 0.0, 1)], "x")


@pytest.mark.slow
def test_frontiers_of_several_batteries_are_those_of_each(window, tmp_path):
    small = foreseeing(make_window(make_params({"p_max_mw": 20.0}), make_market(11, seed=1)))
    chained = foreseeing(make_window(make_params(terminal="free"), make_market(11, seed=1)))
    together = sweep_frontiers([window, small, chained], Workers(2))
    for found, alone in zip(together, (window, small, chained), strict=True):
        pd.testing.assert_frame_equal(found.points, sweep_frontier(alone).points, check_exact=True)
        pd.testing.assert_frame_equal(found.daily, sweep_frontier(alone).daily, check_exact=True)
    assert not together[0].points.equals(together[1].points)


def test_a_bar_is_drawn_on_a_terminal_and_not_in_ci_nor_in_a_pipe(monkeypatch, capsys):
    tasks = [(late, 0.0, k) for k in range(3)]
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.delitem(sys.modules, "ipykernel", raising=False)
    ONE.run(tasks, "plans")
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    ONE.run(tasks, "plans")
    assert "plans:   0%" in capsys.readouterr().err
    monkeypatch.setenv("CI", "true")
    ONE.run(tasks, "plans")
    assert capsys.readouterr().err == ""


@pytest.mark.slow
def test_a_kept_sweep_says_the_same_with_two_workers(window, tmp_path):
    kept = replace(window, cache=Cache(tmp_path))
    expected = sweep_frontier(window).points
    for workers in (Workers(2), ONE):
        pd.testing.assert_frame_equal(
            sweep_frontier(kept, workers).points, expected, check_exact=True
        )


def test_works_side_by_side_each_come_to_their_own():
    works = [Work([(late, 0.0, k) for k in values], sum) for values in ((1, 2), (), (5,))]
    assert Workers(2).run_all(works, "works") == [3, 0, 5]
