"""Tables of toys that are tuned in seconds."""

from vlmrec.pipeline.tuned import Tuned
from vlmrec.pipeline.tuning import tune
from vlmrec.pipeline.tuning_plan import read_tuning

HEAD = """
title: Toys
dataset: toy
seeds: [0, 1]
train: {epochs: 2, batch_size: 8, device: cpu, learning_rate: 0.00001}
stages:
  ids: {model: sasrec, seeds: first, set: {dim: 8, hidden: 16, n_layers: 1, max_len: 60}}
tuning: {trials: 3, startup: 1, warmup: 1}
rows:
  - {label: Popularity, model: popularity}
"""
LEARNED = """
  - label: SASRec
    like: ids
    set: {vectors: "@ids", vectors_dim: null}
    search: {learning_rate: {values: [1e-5, 1e-6, 0.03]}}
"""
COUNTED = """
  - label: kNN
    model: item-knn
    search: {shrink: {low: 0, high: 99.0}, n_neighbours: {low: 2, high: 40}}
"""


HOPELESS = """
  - label: SASRec
    like: ids
    train: {learning_rate: 0.03, epochs: 3}
    search: {learning_rate: {values: [0.03, 1e-7]}}
"""


class PowerCutError(Exception):
    """Stands in for a kill: nothing after it runs."""


class Study:
    """A file, its data and its folder of trials."""

    def __init__(self, folder, text, split):
        (folder / "space.yaml").write_text(text)
        self.plan = read_tuning(folder / "space.yaml")
        self.split = split
        self.out = folder / "out"
        self.said = []

    def run(self):
        journal = self.out / "space" / "study.log"
        said = self.said.append
        rows = tune(self.plan, self.split, self.out, journal, quiet=True, say=said)
        prints = {"dataset": self.split.dataset.fingerprint, "split": self.split.fingerprint}
        return Tuned(self.plan, tuple(rows), "toy", prints, "5")

    def folders(self, name):
        return sorted((self.out / name).glob("*"))


def facts(found):
    """What must not depend on kills: all but times."""
    return [
        [
            (one.options, one.outcome, one.result and one.result.model_copy(update={"seconds": 0}))
            for one in row.trials
        ]
        for row in found.rows
    ]
