"""How time and memory of one plan grow with scenarios, blocks and units.

Each case runs in a process of its own, whose peak memory is told. Exponents are fitted to
processor seconds, which other work on the machine disturbs less than the clock's.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time

import numpy as np
from _cases import day_problem, fan, judged, report

from bessvpp.optimizer import dispatch
from bessvpp.risk import Risk

SCENARIOS = (50, 100, 200, 500, 1000)
UNITS = (1, 4, 16)
RISK_AVERSION = 0.1


def one_case(n_blocks: int, n_scenarios: int, n_units: int) -> dict[str, float]:
    """Seconds of a plan and peak memory of this process [MB]."""
    problem, params = day_problem(n_blocks, n_units)
    prices = fan(n_blocks, n_scenarios)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    began, busy = time.perf_counter(), time.process_time()
    plan = dispatch.plan_day(problem, prices, Risk(RISK_AVERSION, params.risk.alpha))
    seconds, busy = time.perf_counter() - began, time.process_time() - busy
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    return {
        "plan_s": seconds,
        "plan_cpu_s": busy,
        "peak_mb": peak,
        "programme_mb": peak - before,
        "restricted_blocks": plan.restricted_blocks,
    }


def in_a_process(**case: int) -> dict[str, float]:
    """A case in a new process, so that memory is its own."""
    words = [sys.executable, __file__, json.dumps(case)]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    return case | json.loads(done.stdout)


def exponent(cases: list[dict], of: str, key: str) -> float:
    """Slope of log(of) over log(key)."""
    x, y = (np.log([case[name] for case in cases]) for name in (key, of))
    return float(np.polyfit(x, y, 1)[0])


def main() -> None:
    cases, targets = [], {}
    for n_blocks in (24, 96):
        grown = [in_a_process(n_blocks=n_blocks, n_scenarios=n, n_units=1) for n in SCENARIOS]
        cases += grown
        for of, limit in (("plan_cpu_s", 1.3), ("programme_mb", 1.3)):
            targets[f"{n_blocks} blocks, {of} grows as scenarios to the power, at most {limit}"] = (
                judged(exponent(grown, of, "n_scenarios"), limit)
            )
        targets[f"{n_blocks} blocks, memory at {SCENARIOS[-1]} scenarios, at most 2000 MB"] = (
            judged(grown[-1]["peak_mb"], 2000)
        )
    fleets = [in_a_process(n_blocks=24, n_scenarios=50, n_units=n) for n in UNITS]
    cases += fleets
    notes = {"units_exponent_of_time": round(exponent(fleets, "plan_cpu_s", "n_units"), 2)}
    report("scaling", cases, targets, lambda_=RISK_AVERSION, **notes)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(json.dumps(one_case(**json.loads(sys.argv[1]))))
    else:
        main()
