"""One day's frontier: the engine, the readable statement with CBC and HiGHS, and bare HiGHS.

``python benchmarks/frontier.py [--scenarios 200] [--blocks 24 96]``. CBC takes minutes.
"""

from __future__ import annotations

import argparse
import statistics
import time
from dataclasses import replace

from _cases import SEED, bare_highs, day_problem, fan, judged, report

from bessvpp.optimizer import dispatch
from bessvpp.optimizer.engine import ArrayProgramme
from bessvpp.optimizer.statement import TwoStageProgramme
from bessvpp.optimizer.structure import structure
from bessvpp.risk import Risk

REPEATS = 3
LEAST_SPEEDUP = {24: 10.0, 96: 20.0}


def with_engine(problem, prices, params) -> tuple[list, dict[str, float]]:
    """Plans, and median times: all, HiGHS's runs alone, building alone. Nothing is warm."""
    lambdas, alpha = params.risk.lambdas, params.risk.alpha
    taken = []
    for _ in range(REPEATS):
        structure.cache_clear()
        clock, counting = bare_highs()
        began = time.perf_counter()
        with counting:
            plans = dispatch.sweep(problem, prices, lambdas, alpha)
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
    parser.add_argument("--blocks", type=int, nargs="+", default=[24, 96])
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
    lambdas = ", ".join(f"{aversion:g}" for aversion in params.risk.lambdas)
    report("frontier", cases, targets, lambdas=lambdas, price_seed=SEED)


if __name__ == "__main__":
    main()
