"""A plan that cannot be is told with its day and the rule that it breaks."""

from __future__ import annotations

import numpy as np
import pytest
from small_cases import fleet, make_params, make_problem, price_scenarios

from bessvpp.errors import InfeasibleError
from bessvpp.optimizer.dispatch import plan_day

NOON = [{"start": "11:50", "end": "13:10"}]


@pytest.mark.parametrize("solver", ["engine", "highs"])
@pytest.mark.parametrize(
    ("params", "changes", "told"),
    [
        # 80 minutes hold one whole hour: 100 + 48 MWh, not 164.
        (
            make_params({"charge_windows": NOON, "e_target_mwh": 160.0}),
            {"schedule_end_mwh": None},
            ["Unit A must hold its e_target_mwh of 160 MWh", "lead to 148 MWh at most"],
        ),
        (
            make_params({"charge_windows": NOON, "e_target_mwh": 160.0}, terminal="free"),
            {"schedule_end_mwh": np.array([160.0])},
            ["schedule of unit A must end with 160 MWh", "lead to 20 to 148 MWh"],
        ),
        # .1 cycles of 200 MWh are 20 MWh sold, 21.7 taken out.
        (
            make_params({"max_cycles_per_day": 0.1}, terminal="free"),
            {"schedule_end_mwh": np.array([50.0])},
            ["must end with 50 MWh", "lead to 78.2609 to 180 MWh"],
        ),
        (
            make_params(),
            {"e_start_mwh": np.array([240.0])},
            ["Unit A starts with 240 MWh, outside its usable window of 20 to 180 MWh"],
        ),
        # Each could by itself, not both in 24 hours of 3 MW.
        (
            fleet(connection_limit_mw=3.0),
            {"e_start_mwh": np.array([40.0, 2.0]), "schedule_end_mwh": None},
            ["by itself", "connection of 3 MW", "terminal rule hard", "midnight rule own"],
        ),
    ],
)
def test_the_rule_that_leaves_no_plan_is_named(solver, params, changes, told):
    problem = make_problem(params, name="2024-03-09", solver=solver, **changes)
    with pytest.raises(InfeasibleError) as found:
        plan_day(problem, price_scenarios(2))
    message = str(found.value)
    assert message.startswith("2024-03-09, lambda 0: no plan is possible. ")
    for part in told:
        assert part in message
    assert "variables" not in message
