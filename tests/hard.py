"""Runs every check where a machine is slow, busy, or counts otherwise: ``make hard``.

Each case has a number of cores, kept busy by two loops of the same lowest priority (above it
they would leave the tests a hundredth of a core), another set of OpenBLAS kernels, which add in
another order, and another seed of the hashes of text, by which sets are ordered. Words on the
command line are for pytest, in place of ``make test``: ``python tests/hard.py tests/test_x.py``.
"""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
BUSY = "import os\nwhile os.getppid() == {}: pass"  # ends with who started it


@dataclass(frozen=True)
class Case:
    """Cores to run on; kernels that any x86 of the last ten years has; a seed."""

    n_cores: int
    core_type: str
    hash_seed: int

    def run(self, words: list[str]) -> int:
        """The exit code of ``make test``, or of pytest."""
        there, busy = sorted(os.sched_getaffinity(0)), BUSY.format(os.getpid())
        os.sched_setaffinity(0, there[: self.n_cores])  # inherited by all that follow
        loops = [subprocess.Popen([sys.executable, "-c", busy]) for _ in range(2)]
        try:
            setting = {"OPENBLAS_CORETYPE": self.core_type, "PYTHONHASHSEED": str(self.hash_seed)}
            pytest = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *words]
            command = pytest if words else ["make", "test"]
            return subprocess.run(command, cwd=ROOT, env=os.environ | setting).returncode
        finally:
            for loop in loops:
                loop.kill()
            os.sched_setaffinity(0, there)


CASES = (Case(1, "Haswell", 1), Case(2, "Prescott", 2))

if __name__ == "__main__":
    os.nice(19)
    for case in CASES:
        print(f"== {case}", flush=True)
        if code := case.run(sys.argv[1:]):
            sys.exit(code)
