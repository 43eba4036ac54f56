"""The plans that tests of the optimizer read: made once, never changed."""

from __future__ import annotations

import pytest
from optimizer_cases import CASES, with_values
from small_cases import make_problem, price_scenarios

from bessvpp.optimizer.statement import TwoStageProgramme
from bessvpp.risk import Risk


@pytest.fixture(scope="session")
def solved():
    """Problem, scenarios, programme and plan of each case, solved once."""
    found = {}

    def solve(name: str):
        if name not in found:
            params, n_blocks, prices = CASES[name]
            problem = with_values(make_problem(params, n_blocks))
            scenarios = price_scenarios(5, n_blocks, **prices)
            programme = TwoStageProgramme(problem, scenarios)
            found[name] = problem, scenarios, programme, programme.solve(Risk(0.6, 0.3))
        return found[name]

    return solve
