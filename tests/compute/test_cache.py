"""Finished work is found again, and only what is sound and meant is found."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_cases import (
    foreseeing,
    make_market,
    make_params,
    make_problem,
    make_window,
    price_scenarios,
)

from bessvpp.backtest.frontier import sweep_frontier
from bessvpp.backtest.policies import TwoStage, plan_lambdas
from bessvpp.backtest.simulate import commit_chain
from bessvpp.compute import cache as cache_module
from bessvpp.compute.cache import NO_CACHE, Cache, fingerprint
from bessvpp.files import PACKAGE

PLAN = {"unit_mw": np.arange(6.0).reshape(2, 3), "profit_rs": np.array([1.5, -2.0])}


def counted(cache: Cache, inputs: object) -> tuple[dict, int]:
    """What a cache gives, and how often it had to be computed."""
    calls = []

    def compute() -> dict:
        calls.append(1)
        return {name: array.copy() for name, array in PLAN.items()}

    return cache.arrays(inputs, compute), len(calls)


def test_the_second_time_nothing_is_computed(tmp_path):
    cache = Cache(tmp_path)
    assert counted(cache, ("a", 1))[1] == 1
    found, calls = counted(cache, ("a", 1))
    assert calls == 0
    for name, array in PLAN.items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].dtype == array.dtype
    assert counted(cache, ("a", 2))[1] == 1


def test_without_a_folder_nothing_is_kept(tmp_path):
    for cache in (NO_CACHE, Cache(tmp_path / "elsewhere")):
        assert [counted(cache, "x")[1] for _ in range(2)] == [1, 1]
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("damage", ["flip", "cut", "empty", "swap"])
def test_a_damaged_entry_is_computed_again_and_mended(tmp_path, damage):
    cache = Cache(tmp_path)
    counted(cache, "a")
    (entry,) = tmp_path.iterdir()
    sound = entry.read_bytes()
    places = range(0, len(sound), 7) if damage == "flip" else [0]
    for place in places:
        broken = bytearray(sound)
        if damage == "flip":
            broken[place] ^= 1
        elif damage == "cut":
            broken = broken[:-1]
        elif damage == "empty":
            broken = bytearray()
        else:  # a sound entry under another's name
            counted(cache, "b")
            (other,) = set(tmp_path.iterdir()) - {entry}
            broken = bytearray(other.read_bytes())
        entry.write_bytes(bytes(broken))
        assert counted(cache, "a")[1] == 1
        assert entry.read_bytes() == sound


def test_other_code_finds_nothing_of_this(tmp_path, monkeypatch):
    cache = Cache(tmp_path)
    counted(cache, "a")
    monkeypatch.setattr(cache_module, "code_hash", lambda: "another version")
    assert counted(cache, "a")[1] == 1


@pytest.mark.parametrize("room", ["optimizer", "battery", "ledger"])
def test_all_that_a_programme_is_computed_with_decides_on_its_name(room):
    place = PACKAGE / room
    files = list(place.rglob("*.py")) or [place.with_suffix(".py")]
    texts = [file.read_text(encoding="utf-8") for file in files]
    imported = {name for text in texts for name in re.findall(r"from bessvpp\.(\w+)", text)}
    assert imported - {"errors"} <= set(cache_module._DECIDING_ROOMS)


def test_every_input_of_a_plan_is_part_of_its_name(tmp_path):
    problem, prices = make_problem(make_params()), price_scenarios(3)
    moved = prices.rtm.copy()
    moved[1, 7] = np.nextafter(moved[1, 7], np.inf)
    base = (problem, prices, (0.0, 0.3), 0.4)
    others = [
        (replace(problem, e_start_mwh=np.array([100.0 + 1e-9])), *base[1:]),
        (replace(problem, solver="highs"), *base[1:]),
        (replace(problem, terminal="free"), *base[1:]),
        (replace(problem, rtm_allowed=False), *base[1:]),
        (make_problem(make_params({"wear_rs_per_mwh_discharged": 311.0})), *base[1:]),
        (make_problem(make_params(fee_rtm_rs_per_mwh=34.0)), *base[1:]),
        (problem, replace(prices, rtm=moved), *base[2:]),
        (problem, replace(prices, weights=np.array([0.4, 0.3, 0.3])), *base[2:]),
        (*base[:2], (0.0, 0.31), 0.4),
        (*base[:3], 0.41),
    ]
    names = {fingerprint(inputs) for inputs in (base, *others)}
    assert len(names) == 1 + len(others)
    same = make_problem(make_params()), price_scenarios(3), (0.0, 0.3), 0.4
    assert fingerprint(same) == fingerprint(base)


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3).map(tuple),
    max_leaves=6,
)


@given(plain, plain)
def test_unlike_values_have_unlike_names(one, other):
    alike = repr(one) == repr(other)  # 1, 1.0 and True are equal and not alike
    assert (fingerprint(one) == fingerprint(other)) == alike


def test_a_mapping_is_named_by_its_keys_and_values_in_any_order():
    base = fingerprint({"a": 1.0, "b": 2.0})
    assert fingerprint({"b": 2.0, "a": 1.0}) == base
    for other in ({"a": 2.0, "b": 1.0}, {"a": 1.0, "c": 2.0}, {"a": 1.0}, ("a", "b")):
        assert fingerprint(other) != base


def test_what_cannot_be_told_apart_names_no_entry():
    with pytest.raises(TypeError, match="function cannot name"):
        fingerprint((1, counted))


def test_plans_from_the_cache_are_those_computed(tmp_path):
    problem, prices = make_problem(make_params()), price_scenarios(3)
    fresh = plan_lambdas(NO_CACHE, problem, prices, (0.0, 2.0), 0.4)
    for _ in range(2):
        kept = plan_lambdas(Cache(tmp_path), problem, prices, (0.0, 2.0), 0.4)
        for mine, theirs in zip(kept, fresh, strict=True):
            np.testing.assert_array_equal(mine.commitment.unit_mw, theirs.commitment.unit_mw)
            np.testing.assert_array_equal(mine.commitment.e_end_mwh, theirs.commitment.e_end_mwh)
            np.testing.assert_array_equal(mine.profit_rs, theirs.profit_rs)
            assert mine.relaxation_gap_rs == theirs.relaxation_gap_rs
    assert len(list(tmp_path.iterdir())) == 1


TESTS = Path(__file__).parents[1]
MARKET = make_market(14, 96, seed=1)


def sweep(folder: Path | None) -> pd.DataFrame:
    window = foreseeing(make_window(make_params(), MARKET, n_scenarios=8))
    return sweep_frontier(replace(window, cache=Cache(folder))).points


@pytest.mark.slow
def test_a_sweep_killed_in_the_middle_goes_on_and_ends_alike_byte_for_byte(tmp_path):
    whole, folder = tmp_path / "whole.parquet", tmp_path / "cache"
    sweep(None).to_parquet(whole)
    code = "import pathlib, sys, test_cache; test_cache.sweep(pathlib.Path(sys.argv[1]))"
    paths = os.pathsep.join([str(TESTS), str(TESTS / "compute"), os.environ.get("PYTHONPATH", "")])
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(folder)],
        env={**os.environ, "PYTHONPATH": paths},
        cwd=TESTS.parent,
    )
    while not (folder.is_dir() and len(list(folder.glob("*.entry"))) >= 3):
        assert process.poll() is None, "it ended before it could be killed"
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    kept = {path: path.stat().st_mtime_ns for path in folder.glob("*.entry")}
    assert 3 <= len(kept) < 48
    sweep(folder).to_parquet(tmp_path / "resumed.parquet")
    assert (tmp_path / "resumed.parquet").read_bytes() == whole.read_bytes()
    assert {path: path.stat().st_mtime_ns for path in kept} == kept  # none was computed again
    assert len(list(folder.glob("*.entry"))) == 48  # a plan and three promises for 12 days


def test_a_chain_goes_on_from_its_last_finished_day(tmp_path):
    params = make_params(terminal="free", fan="original")
    window = replace(make_window(params, make_market(12, seed=1)), cache=Cache(tmp_path))
    first = commit_chain(window, TwoStage("original"))
    entries = sorted(tmp_path.iterdir(), key=lambda path: path.stat().st_mtime_ns)
    assert len(entries) == len(window.days) == 4
    entries[-1].unlink()
    again = commit_chain(window, TwoStage("original"))
    for mine, theirs in zip(again, first, strict=True):
        np.testing.assert_array_equal(mine.unit_mw, theirs.unit_mw)
    assert len(list(tmp_path.iterdir())) == 4
