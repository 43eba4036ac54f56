"""In every process of a run: seconds inside LightGBM's fits and HiGHS's runs, written to a folder.

Python imports this at its start where its folder is on ``PYTHONPATH``; ``pipeline.py`` puts it
there. Each process has its own files, one number for each call.
"""

import importlib.abc
import importlib.util
import os
import sys
import time

CALLS = {"lightgbm": ("lightgbm", "train"), "highspy": ("highspy.Highs", "run")}


class Clocked(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds the two packages as usual, and puts a clock on one call of each."""

    def find_spec(self, name, path=None, target=None):
        if name not in CALLS:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        sys.meta_path.insert(0, self)
        self.loader, spec.loader = spec.loader, self
        return spec

    def create_module(self, spec):
        return self.loader.create_module(spec)

    def exec_module(self, module):
        self.loader.exec_module(module)
        owner, name = CALLS[module.__name__]
        place = module
        for part in owner.split(".")[1:]:
            place = getattr(place, part)
        setattr(place, name, clocked(getattr(place, name), module.__name__))


def clocked(call, package):
    """The call, whose seconds are added to a file of this process."""
    files = {}

    def timed(*args, **kwargs):
        began = time.perf_counter()
        try:
            return call(*args, **kwargs)
        finally:
            seconds = time.perf_counter() - began
            path = os.path.join(os.environ["BENCH_CLOCKS"], f"{package}-{os.getpid()}.txt")
            if path not in files:
                files[path] = open(path, "a", buffering=1)  # noqa: SIM115, for the process's life
            files[path].write(f"{seconds:.9f}\n")

    return timed


if "BENCH_CLOCKS" in os.environ:
    sys.meta_path.insert(0, Clocked())
