"""One day's frontier: condensed, the engine in full, the readable statement, and bare HiGHS.

``python benchmarks/frontier.py [--scenarios 200] [--blocks 24 96] [--condensed 500]``. CBC takes
minutes; ``--blocks`` without a number leaves the readable statement out.
"""

from __future__ import annotations

import argparse
import statistics
import time
from dataclasses import replace

from _cases import SEED, bare_highs, day_problem, fan, judged, report

from bessvpp.optimizer import dispatch
from bessvpp.optimizer.condensed import CondensedProgramme
from bessvpp.optimizer.engine import ArrayProgramme
from bessvpp.optimizer.statement import TwoStageProgramme
from bessvpp.optimizer.structure import structure
from bessvpp.risk import Risk

REPEATS = 3
LEAST_SPEEDUP = {24: 10.0, 96: 20.0}
LEAST_CONDENSED = 3.0
FLOWS = "dam_mw", "rtm_mw", "charge_mw", "discharge_mw", "energy_mwh"


def in_full(problem, prices, lambdas, alpha) -> list:
    """Plans of the engine, all its cells open."""
    day = ArrayProgramme(problem, prices)
    return [day.solve(Risk(aversion, alpha)) for aversion in lambdas]


def condensed(n_blocks: int, n_scenarios: int) -> dict[str, float]:
    """The condensed programme beside the engine in full: median CPU seconds, and how far apart.

    Each is taken anew on the same fan, in turn; what is compiled once for a machine is compiled.
    """
    problem, params = day_problem(n_blocks)
    prices, lambdas, alpha = fan(n_blocks, n_scenarios), params.risk.lambdas, params.risk.alpha
    assert isinstance(dispatch.programme(problem, prices), CondensedProgramme)
    ways = {"after_s": dispatch.sweep, "before_s": in_full}
    plans, taken = {}, {name: [] for name in ways}
    CondensedProgramme(problem, fan(n_blocks, 2)).solve()
    for _ in range(REPEATS):
        for name, sweep in ways.items():
            structure.cache_clear()
            began = time.process_time()
            plans[name] = sweep(problem, prices, lambdas, alpha)
            taken[name].append(time.process_time() - began)
    case = {name: statistics.median(each) for name, each in taken.items()}
    pairs = list(zip(plans["after_s"], plans["before_s"], strict=True))
    return {
        "blocks": n_blocks,
        "scenarios": n_scenarios,
        **case,
        "speedup_over_before": case["before_s"] / case["after_s"],
        "max_rel_objective_difference": max(
            abs(new.objective_rs - old.objective_rs) / abs(old.objective_rs) for new, old in pairs
        ),
        "max_flow_difference": max(
            float(abs(getattr(new, name) - getattr(old, name)).max())
            for new, old in pairs
            for name in FLOWS
        ),
    }


def with_engine(problem, prices, params) -> tuple[list, dict[str, float]]:
    """Plans, and median times: all, HiGHS's runs alone, building alone. Nothing is warm."""
    lambdas, alpha = params.risk.lambdas, params.risk.alpha
    taken = []
    for _ in range(REPEATS):
        structure.cache_clear()
        clock, counting = bare_highs()
        began = time.perf_counter()
        with counting:
            plans = in_full(problem, prices, lambdas, alpha)
        taken.append((time.perf_counter() - began, clock.seconds))
    structure.cache_clear()
    began = time.perf_counter()
    ArrayProgramme(problem, prices)
    build_s = time.perf_counter() - began
    engine_s, bare_s = sorted(taken)[REPEATS // 2]
    ratio = statistics.median(total / bare for total, bare in taken)
    return plans, {
        "engine_s": engine_s,
        "engine_build_s": build_s,
        "bare_highs_s": bare_s,
        "engine_over_bare": ratio,
    }


def rebuilt(problem, prices, params, solver: str) -> tuple[list, float, float]:
    """Plans of the readable statement, built and solved anew for every lambda; both times."""
    plans, build_s, solve_s = [], 0.0, 0.0
    for aversion in params.risk.lambdas:
        began = time.perf_counter()
        programme = TwoStageProgramme(replace(problem, solver=solver), prices)
        built = time.perf_counter()
        plans.append(programme.solve(Risk(aversion, params.risk.alpha)))
        build_s, solve_s = build_s + built - began, solve_s + time.perf_counter() - built
    return plans, build_s, solve_s


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenarios", type=int, default=200)
    parser.add_argument("--blocks", type=int, nargs="*", default=[24, 96])
    parser.add_argument("--condensed", type=int, default=500, help="scenarios, of 96 blocks")
    words = parser.parse_args()
    cases, targets = [], {}
    for n_blocks in words.blocks:
        problem, params = day_problem(n_blocks)
        prices = fan(n_blocks, words.scenarios)
        plans, times = with_engine(problem, prices, params)
        case = {"blocks": n_blocks, "scenarios": words.scenarios, **times}
        apart = 0.0
        for solver in ("highs", "cbc"):
            others, build_s, solve_s = rebuilt(problem, prices, params, solver)
            case |= {f"pulp_{solver}_s": build_s + solve_s, f"pulp_{solver}_build_s": build_s}
            for plan, other in zip(plans, others, strict=True):
                far = abs(plan.objective_rs - other.objective_rs) / abs(other.objective_rs)
                apart = max(apart, far)
        case["max_rel_objective_difference"] = apart
        case["speedup_over_cbc"] = case["pulp_cbc_s"] / case["engine_s"]
        cases.append(case)
        least = LEAST_SPEEDUP.get(n_blocks, 10.0)
        targets |= {
            f"{n_blocks} blocks, times faster than PuLP with CBC, at least {least:g}": judged(
                case["speedup_over_cbc"], least, at_least=True
            ),
            f"{n_blocks} blocks, engine over bare HiGHS, at most 1.25": judged(
                case["engine_over_bare"], 1.25
            ),
            f"{n_blocks} blocks, objectives apart, at most 1e-6": judged(apart, 1e-6),
        }
    small = condensed(96, words.condensed)
    cases.append(small)
    apart = small["max_rel_objective_difference"]
    targets |= {
        f"condensed, times faster than in full, at least {LEAST_CONDENSED:g}": judged(
            small["speedup_over_before"], LEAST_CONDENSED, at_least=True
        ),
        "condensed, objectives apart from those in full, at most 1e-9": judged(apart, 1e-9),
    }
    lambdas = ", ".join(f"{aversion:g}" for aversion in day_problem(96)[1].risk.lambdas)
    report("frontier", cases, targets, lambdas=lambdas, price_seed=SEED)


if __name__ == "__main__":
    main()
