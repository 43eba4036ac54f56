"""What a run keeps is read back as it was written."""

from __future__ import annotations

import numpy as np

from bessvpp.runs.contents import read_fan, write_fan
from bessvpp.runs.folder import RunFolder


def test_fans_are_read_back_as_they_were_written(tmp_path, study):
    run = RunFolder(tmp_path)
    write_fan(run, "original", study.splits.test, study.window.fans["original"])
    back = read_fan(run, "original")
    assert list(back) == list(study.splits.test)
    for date, day in zip(study.splits.test, study.window.fans["original"], strict=True):
        np.testing.assert_array_equal(back[date].dam, day.dam)
        np.testing.assert_array_equal(back[date].rtm, day.rtm)
        np.testing.assert_array_equal(back[date].weights, day.weights)
