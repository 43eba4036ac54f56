"""The value before one block, worked out by hand: Rs 10 a step, half of the energy kept."""

from __future__ import annotations

import numpy as np
import pytest

from bessvpp.optimizer.dynamic import _before, _steeper_steps


@pytest.mark.parametrize(
    ("least", "most", "by_hand"),
    [
        (0.0, 9.0, 30 + 20),  # 2 kept and 1 charged; the piece at Rs 30 is worth its step
        (0.0, 0.4, 0.4 * 30 + 26),
        (1.5, 9.0, 30 + 0.5 * 5 + 15),  # half a step more is forced, at Rs 5
        (0.0, 1.0, 30 + 20),
    ],
)
def test_the_value_before_a_block_by_hand(least, most, by_hand):
    value = 10.0 * np.arange(5)[None]
    slopes, lengths = np.array([[30.0, 5.0, 1.0]]), np.ones(3)
    tapered = np.tile([[least], [most]], 5)
    before = _before(value, slopes, lengths, 1.0, np.zeros(1), 0.5, tapered)
    assert before[0, 4] == pytest.approx(by_hand)


def test_a_limit_is_for_all_pieces_of_a_block_together():
    """Both pieces are worth taking; 1.5 steps of them may be."""
    value, slopes = 10.0 * np.arange(5)[None], np.array([[30.0, 20.0, 1.0]])
    tapered = np.tile([[0.0], [1.5]], 5)
    before = _before(value, slopes, np.ones(3), 1.0, np.zeros(1), 0.5, tapered)
    assert before[0, 4] == pytest.approx(30 + 0.5 * 20 + 15)


def test_a_full_battery_keeps_all_that_it_holds():
    """Only what cannot be charged is left out, at Rs 12; a step of store is worth 10, a sale 5."""
    value, slopes = 10.0 * np.arange(5)[None], np.array([[12.0, 5.0, 1.0]])
    tapered = np.tile([[0.0], [9.0]], 5)
    before = _before(value, slopes, np.ones(3), 1.0, np.zeros(1), 1.0, tapered)
    np.testing.assert_allclose(before[0], [12.0, 22.0, 32.0, 42.0, 52.0])


def test_each_row_earns_at_its_own_slopes_on_top_of_its_own_base():
    value, slopes = np.tile(10.0 * np.arange(5), (2, 1)), np.array([[30.0, 5, 1], [40.0, 5, 1]])
    tapered = np.tile([[0.0], [9.0]], 5)
    before = _before(value, slopes, np.ones(3), 1.0, np.array([0.0, 7.0]), 0.5, tapered)
    np.testing.assert_allclose(before[:, 4], [50.0, 67.0])


def test_the_last_step_counts_among_those_that_are_steeper():
    """Steps of 30, 20 and 10: all are steeper than 5, two than 15, none than 40."""
    value, slopes = np.array([[0.0, 30.0, 50.0, 60.0]]), np.array([[40.0, 15.0, 5.0]])
    assert _steeper_steps(value, slopes).tolist() == [[0.0, 2.0, 3.0]]
