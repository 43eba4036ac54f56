"""One linear programme in HiGHS."""

from __future__ import annotations

import highspy
import numpy as np
from scipy import sparse

from bessvpp.errors import InfeasibleError
from bessvpp.optimizer.infeasible import model_file, no_optimum
from bessvpp.optimizer.problem import SOLVER_TOLERANCE, Problem

Status = list[highspy.HighsBasisStatus]


class Model:
    """A linear programme in HiGHS, least cost; ``values`` of its columns after ``run``."""

    def __init__(
        self,
        problem: Problem,
        matrix: sparse.csr_array,
        cost: np.ndarray,
        rows: tuple[np.ndarray, np.ndarray],
        columns: tuple[np.ndarray, np.ndarray],
    ) -> None:
        lp = highspy.HighsLp()
        lp.num_row_, lp.num_col_ = matrix.shape
        lp.col_cost_ = cost
        lp.row_lower_, lp.row_upper_ = rows
        lp.col_lower_, lp.col_upper_ = columns
        lp.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
        lp.a_matrix_.start_, lp.a_matrix_.index_ = matrix.indptr, matrix.indices
        lp.a_matrix_.value_ = matrix.data
        self.problem, self.highs = problem, highspy.Highs()  # type: ignore[no-untyped-call]
        for name, value in (
            ("output_flag", False),
            ("threads", 1),
            ("simplex_dual_edge_weight_strategy", 1),  # devex
            ("primal_feasibility_tolerance", SOLVER_TOLERANCE),
            ("dual_feasibility_tolerance", SOLVER_TOLERANCE),
        ):
            self.highs.setOptionValue(name, value)
        self.highs.passModel(lp)
        self.values = np.zeros(0)

    @property
    def is_solved(self) -> bool:
        """Whether there is a basis to go on from."""
        return self.values.size > 0

    def run(self, risk_aversion: float = 0.0) -> None:
        """Solve from the last basis, if there is one.

        Raises
        ------
        InfeasibleError
            unless HiGHS proves an optimum; names the day, the risk aversion, the rule that leaves
            no plan, the status, and the file with the model.
        """
        if not self.is_optimal():
            path = model_file(self.problem, risk_aversion)
            self.highs.writeModel(str(path))
            status = self.highs.modelStatusToString(self.highs.getModelStatus())
            raise InfeasibleError(no_optimum(self.problem, risk_aversion, status, path))

    def is_optimal(self) -> bool:
        """Solve; whether HiGHS proves an optimum.

        On rare models the simplex method gets stuck on its way from the last basis, with neither
        an optimum nor a proof that there is none; then the model is solved anew without it.
        """
        status = self._solved()
        if status == highspy.HighsModelStatus.kUnknown:
            self.highs.clearSolver()
            self._perturb_costs(1.0)
            status = self._solved()
        if status != highspy.HighsModelStatus.kOptimal:
            return False
        self.values = np.array(self.highs.getSolution().col_value)
        self._perturb_costs(0.0)
        return True

    def _solved(self) -> highspy.HighsModelStatus:
        limit = self.highs.getRunTime() + self.problem.solver_time_limit_s
        self.highs.setOptionValue("time_limit", limit)
        self.highs.run()
        return self.highs.getModelStatus()

    def _perturb_costs(self, share: float) -> None:
        """Share of HiGHS's own perturbation: 0 where a basis is nearly optimal."""
        self.highs.setOptionValue("dual_simplex_cost_perturbation_multiplier", share)

    def cost_and_bound(self, pairs: np.ndarray, proof: float, n_nodes: int) -> tuple[float, float]:
        """Least cost found with at most one column of each pair above 0, and a bound on it.

        Solved as a mixed-integer programme, whose last answer the model then is. It ends by proof
        or by nodes, never by time, so that it is the same on every machine.

        Parameters
        ----------
        pairs : (n, 2) columns, neither below 0
        proof : difference of cost and bound at which the cost counts as least
        n_nodes : after which the search ends; the cost is infinite where it has found nothing
        """
        most = np.array(self.highs.getLp().col_upper_)
        for first, second in pairs.tolist():  # first <= most (1 - one), second <= most one
            one = self.highs.getNumCol()
            self._add_column(0.0, 0.0, 1.0)
            self.highs.changeColIntegrality(one, highspy.HighsVarType.kInteger)
            self._add_row(most[first], (first, one), (1.0, most[first]))
            self._add_row(0.0, (second, one), (1.0, -most[second]))
        for name, value in (
            ("mip_rel_gap", 0.0),
            ("mip_abs_gap", proof),
            ("mip_max_nodes", n_nodes),
            ("time_limit", np.inf),
        ):
            self.highs.setOptionValue(name, value)
        self.highs.run()
        found = self.highs.getInfo()
        return found.objective_function_value, found.mip_dual_bound

    def add_columns(
        self,
        rows: np.ndarray,
        values: np.ndarray,
        cost: np.ndarray,
        limits: tuple[np.ndarray, np.ndarray],
    ) -> None:
        """Add columns (n,), each with its coefficient in one row."""
        for row, value, each, low, high in zip(rows, values, cost, *limits, strict=True):
            self._add_column(each, low, high, (row,), (value,))

    def _add_column(
        self,
        cost: float,
        low: float,
        high: float,
        rows: tuple[int, ...] = (),
        values: tuple[float, ...] = (),
    ) -> None:
        at = np.array(rows, dtype=np.int32)
        self.highs.addCol(cost, low, high, at.size, at, np.array(values, dtype=float))

    def _add_row(self, high: float, columns: tuple[int, ...], values: tuple[float, ...]) -> None:
        at = np.array(columns, dtype=np.int32)
        self.highs.addRow(-np.inf, high, at.size, at, np.array(values, dtype=float))

    def duals(self, rows: np.ndarray) -> np.ndarray:
        """What one more of a row's right side costs, (...) as rows."""
        return np.array(self.highs.getSolution().row_dual)[rows]

    @property
    def cost(self) -> float:
        """Of the last solution."""
        return float(self.highs.getInfo().objective_function_value)

    def basis(self) -> tuple[Status, Status]:
        """Status of each row and of each column."""
        basis = self.highs.getBasis()
        return basis.row_status, basis.col_status

    def start_from(self, rows: Status, columns: Status) -> None:
        """Begin with a basis."""
        basis = highspy.HighsBasis()
        basis.row_status, basis.col_status, basis.valid = rows, columns, True
        self.highs.setBasis(basis)
        self._perturb_costs(0.0)

    def set_costs(self, columns: np.ndarray, cost: np.ndarray) -> None:
        """Change the cost of columns."""
        self.highs.changeColsCost(columns.size, columns.astype(np.int32), cost)

    def set_right_sides(self, rows: np.ndarray, values: np.ndarray) -> None:
        """Change what equations are equal to, arrays of any one shape."""
        for row, value in zip(rows.ravel().tolist(), values.ravel().tolist(), strict=True):
            self.highs.changeRowBounds(row, value, value)

    def set_most(self, rows: np.ndarray, value: float) -> None:
        """Change what rows without a least value are at most, an array of any shape."""
        for row in rows.ravel().tolist():
            self.highs.changeRowBounds(row, -np.inf, value)

    def set_limits(self, columns: np.ndarray, low: np.ndarray, high: np.ndarray) -> None:
        """Change the bounds of columns."""
        self.highs.changeColsBounds(columns.size, columns.astype(np.int32), low, high)
