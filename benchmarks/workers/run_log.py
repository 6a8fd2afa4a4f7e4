"""What a run notes after each epoch and when it stops: the same for every side of a comparison.

Needs nothing but the standard library and numpy, because every environment uses it.
"""

import json
import sys
import time

import numpy as np

from benchmarks import memory
from benchmarks.workers.ranks import mean_ndcg

EVALUATIONS = 3


class RunLog:
    """Clock, peak memory, validation and ranks of one training run.

    The clock runs while data is prepared and while the model is trained; it stands still while
    an epoch is validated. Call `begin`, then for each epoch `go`, `end_epoch` and `validated`.

    Args:
        side: What is trained, for the lines on stderr.
        options: With "epochs", "patience" (stop after so many epochs without a better
            validation) and "max_seconds" (stop after the epoch in which so many seconds have
            gone by, or None).
        out: Folder for the results.

    Attributes:
        seconds: Cumulated training seconds at the end of each epoch.
        valid: Validation NDCG@10 after each epoch.
        stopped: Why training ended: "patience", "epochs" or "seconds"; empty while it goes on.
    """

    def __init__(self, side, options, out):
        self.seconds, self.valid, self.stopped = [], [], ""
        self._side, self._options, self._out = side, options, out
        self._preparation = None
        self._peaks = {"preparation": 0.0, "training": 0.0, "evaluation": 0.0}
        self._ranks = {}
        self._spent, self._since = 0.0, 0.0

    def begin(self):
        """Begins the preparation: everything between arrays in memory and the first step."""
        self._baseline = memory.resident_mib()
        memory.reset_peak()
        self._begun = time.perf_counter()

    def go(self):
        """Starts the clock of an epoch; the first time it ends the preparation."""
        if self._preparation is None:
            self._preparation = time.perf_counter() - self._begun
            self._note_peak("preparation")
        memory.reset_peak()
        self._since = time.perf_counter()

    def end_epoch(self):
        """Stops the clock; what follows until `go` is validation."""
        self._spent += time.perf_counter() - self._since
        self.seconds.append(self._spent)
        self._note_peak("training")

    def validated(self, valid_ranks, test_ranks):
        """Takes in how the model ranks now.

        Args:
            valid_ranks: ``[n]`` of the validation targets.
            test_ranks: ``[n]`` of the test targets; kept where validation is best, and not
                looked at here.
        """
        self.valid.append(mean_ndcg(valid_ranks))
        best, done = int(np.argmax(self.valid)), len(self.valid)
        if best == done - 1:
            self._ranks |= {"valid": valid_ranks, "test": test_ranks}
        self._ranks["last_test"] = test_ranks
        limit = self._options.get("max_seconds")
        if done - 1 - best >= self._options["patience"]:
            self.stopped = "patience"
        elif limit is not None and time.perf_counter() - self._begun >= limit:
            self.stopped = "seconds"
        elif done >= self._options["epochs"]:
            self.stopped = "epochs"
        line = f"{self._side} epoch {done} valid {self.valid[-1]:.4f} {self.seconds[-1]:.1f} s"
        print(line, file=sys.stderr, flush=True)

    def evaluate(self, work):
        """Returns seconds (best of three) and result of the library's own test evaluation.

        Args:
            work: Function without arguments that evaluates all users.
        """
        memory.reset_peak()
        found, metrics = [], None
        for _ in range(EVALUATIONS):
            start = time.perf_counter()
            metrics = work()
            found.append(time.perf_counter() - start)
        self._note_peak("evaluation")
        return min(found), metrics

    def write(self, **facts):
        """Writes ``record.json`` and ``ranks.npz``.

        Args:
            **facts: Whatever else belongs into the record.
        """
        np.savez(self._out / "ranks.npz", **self._ranks)
        record = {
            "preparation_seconds": self._preparation,
            "training_seconds": self.seconds,
            "valid": self.valid,
            "best_epoch": int(np.argmax(self.valid)) + 1,
            "stopped": self.stopped,
            "wall_seconds": time.perf_counter() - self._begun,
            "baseline_mib": self._baseline,
            "peak_mib": max(self._peaks.values()),
            **{f"peak_{phase}_mib": peak for phase, peak in self._peaks.items()},
            **facts,
        }
        (self._out / "record.json").write_text(json.dumps(record), encoding="utf-8")

    def _note_peak(self, phase):
        self._peaks[phase] = max(self._peaks[phase], memory.peak_mib())
