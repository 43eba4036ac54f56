"""How long a word at the command line waits before anything happens, beside importing pandas.

Each is a whole process of this interpreter, started and ended, and each round takes all of them
in turn, so that what else the machine does falls on all alike. The figure is the median over the
rounds of a time divided by that of ``import pandas`` in the same round. What a name of the door
brings along when it is first used is told too, without a target.

    python benchmarks/imports.py
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

from _cases import judged, report

ROUNDS = 15
PROMISED = 1.3  # times import pandas
BASE = "import pandas"
WORDS = {
    BASE: ["-c", "import pandas"],
    "import bessvpp": ["-c", "import bessvpp"],
    "python -m bessvpp": ["-m", "bessvpp"],
    "python -m bessvpp --help": ["-m", "bessvpp", "--help"],
    "python -m bessvpp plan --help": ["-m", "bessvpp", "plan", "--help"],
}
USED = {
    "bv.load_params": ["-c", "import bessvpp as bv; bv.load_params"],
    "bv.plan_day": ["-c", "import bessvpp as bv; bv.plan_day"],
    "bv.read_market": ["-c", "import bessvpp as bv; bv.read_market"],
    "bv.open_run": ["-c", "import bessvpp as bv; bv.open_run"],
    "bv.plots.frontier": ["-c", "import bessvpp as bv; bv.plots.frontier"],
}


def seconds(words: list[str]) -> float:
    """Of a process from its start to its end."""
    began = time.perf_counter()
    subprocess.run([sys.executable, *words], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def main() -> None:
    everything = WORDS | USED
    for words in everything.values():
        seconds(words)  # into the disk's cache, and compiled
    rounds = [{name: seconds(words) for name, words in everything.items()} for _ in range(ROUNDS)]
    cases = [
        {
            "process": name,
            "median_s": statistics.median(one[name] for one in rounds),
            "least_s": min(one[name] for one in rounds),
            "times_pandas": statistics.median(one[name] / one[BASE] for one in rounds),
        }
        for name in everything
    ]
    targets = {
        f"{case['process']}, at most {PROMISED} times {BASE}": judged(
            case["times_pandas"], PROMISED
        )
        for case in cases
        if case["process"] in WORDS and case["process"] != BASE
    }
    report("imports", cases, targets, rounds=ROUNDS)


if __name__ == "__main__":
    main()
