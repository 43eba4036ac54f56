"""60 days, six lambdas, two fans, 100 scenarios: one worker and two, with the same result."""

from __future__ import annotations

import argparse
import time
from dataclasses import replace

import numpy as np
from _cases import SEED, day_problem, fan, judged, report

from bessvpp.backtest.policies import plan_lambdas
from bessvpp.compute.cache import NO_CACHE
from bessvpp.compute.workers import Workers

LAMBDAS = (0.0, 0.05, 0.1, 0.5, 1.0, 5.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--days", type=int, default=60)
    parser.add_argument("--scenarios", type=int, default=100)
    parser.add_argument("--blocks", type=int, default=24)
    words = parser.parse_args()
    problem, params = day_problem(words.blocks)
    tasks = []
    for k in range(2 * words.days):  # the days of one fan, then those of the other
        prices = fan(words.blocks, words.scenarios, seed=SEED + k)
        named = replace(problem, name=f"fan {k // words.days}, day {k % words.days}")
        tasks.append((plan_lambdas, NO_CACHE, named, prices, LAMBDAS, params.risk.alpha))
    Workers(2).run(tasks[:2], "start")  # processes are there before the clock starts
    cases, found = [], {}
    for jobs in (1, 2):
        began = time.perf_counter()
        found[jobs] = Workers(jobs).run(tasks, f"{jobs} worker(s)")
        cases.append({"workers": jobs, "sweep_s": time.perf_counter() - began})
    same = all(
        np.array_equal(mine, theirs)
        for one, two in zip(found[1], found[2], strict=True)
        for (_, mine), (_, theirs) in zip(one, two, strict=True)
    )
    gain = cases[0]["sweep_s"] / cases[1]["sweep_s"]
    targets = {
        "two workers over one, at least 1.6": judged(gain, 1.6, at_least=True),
        "the same plans": "yes" if same else "NO",
    }
    size = {"days": words.days, "fans": 2, "scenarios": words.scenarios, "blocks": words.blocks}
    report("sweep", cases, targets, **size, lambdas=list(LAMBDAS))


if __name__ == "__main__":
    main()
