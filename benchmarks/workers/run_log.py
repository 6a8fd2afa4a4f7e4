"""What a run notes after each epoch and when it stops: the same for every side of a comparison.

Needs nothing but the standard library and numpy, because every environment uses it.
"""

import json
import os
import sys
import time

import numpy as np

from benchmarks import memory
from benchmarks.workers.ranks import mean_ndcg

EVALUATIONS = 3
_PROGRESS = "progress.npz"


class RunLog:
    """Clock, peak memory, validation and ranks of one training run.

    The clock runs while data is prepared and while the model is trained; it stands still while
    an epoch is validated. Call `begin`, then for each epoch `go`, `end_epoch`, `validated` and,
    where the run shall go on after it was ended from outside, `keep`.

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
        self._spent, self._since, self._before = 0.0, 0.0, 0.0

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
        elif limit is not None and self._wall() >= limit:
            self.stopped = "seconds"
        elif done >= self._options["epochs"]:
            self.stopped = "epochs"
        line = f"{self._side} epoch {done} valid {self.valid[-1]:.4f} {self.seconds[-1]:.1f} s"
        print(line, file=sys.stderr, flush=True)

    def keep(self, save):
        """Keeps what the run has come to, so that another process can go on with it.

        Args:
            save: Writes the state of the training to the path it is given.
        """
        before = self._kept()
        checkpoint = self._out / f"checkpoint-{len(self.valid)}.pt"
        save(checkpoint)
        facts = {
            "checkpoint": checkpoint.name,
            "seconds": self.seconds,
            "valid": self.valid,
            "preparation": self._preparation,
            "peaks": self._peaks,
            "baseline": self._baseline,
            "wall": self._wall(),
        }
        half_written = self._out / f"half-{_PROGRESS}"
        np.savez(half_written, facts=json.dumps(facts), **self._ranks)
        os.replace(half_written, self._out / _PROGRESS)  # from here on it is the one to go on from
        if before is not None:
            before.unlink(missing_ok=True)

    def go_on(self):
        """Takes up what `keep` kept, if anything; returns the path for the training's state."""
        checkpoint = self._kept()
        if checkpoint is None:
            return None
        with np.load(self._out / _PROGRESS) as kept:
            facts = json.loads(str(kept["facts"]))
            self._ranks = {name: kept[name] for name in kept.files if name != "facts"}
        self.seconds, self.valid = facts["seconds"], facts["valid"]
        self._spent, self._before = self.seconds[-1], facts["wall"]
        self._preparation, self._peaks = facts["preparation"], facts["peaks"]
        self._baseline = facts["baseline"]
        print(f"{self._side} goes on after epoch {len(self.valid)}", file=sys.stderr, flush=True)
        return checkpoint

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
            "wall_seconds": self._wall(),
            "baseline_mib": self._baseline,
            "peak_mib": max(self._peaks.values()),
            **{f"peak_{phase}_mib": peak for phase, peak in self._peaks.items()},
            **facts,
        }
        (self._out / "record.json").write_text(json.dumps(record), encoding="utf-8")
        for part in (self._kept(), self._out / _PROGRESS):
            if part is not None:
                part.unlink(missing_ok=True)

    def _kept(self):
        """Returns the training's state that was kept last, None where there is none."""
        try:
            with np.load(self._out / _PROGRESS) as kept:
                return self._out / json.loads(str(kept["facts"]))["checkpoint"]
        except FileNotFoundError:
            return None

    def _wall(self):
        return self._before + time.perf_counter() - self._begun

    def _note_peak(self, phase):
        self._peaks[phase] = max(self._peaks[phase], memory.peak_mib())
