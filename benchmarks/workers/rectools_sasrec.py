"""Trains RecTools' SASRec and writes, after every epoch, the vectors that it would rank with.

Run as a script in RecTools' own environment, with Python's -P (so that this folder's neighbours
do not shadow the library): ``python -P rectools_sasrec.py DATA.npz OPTIONS.json OUT_FOLDER``.
Scores are ``queries @ vectors.T + bias``, over the whole catalogue in the order of `DATA.npz`.
"""

import importlib.util
import json
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from pytorch_lightning import Callback, Trainer, seed_everything
from rectools import Columns
from rectools.dataset import Dataset
from rectools.models import SASRecModel

_UNKNOWN = -1e9  # score of items that RecTools does not know because training lacks them


def _neighbour(name):
    path = Path(__file__).resolve().parents[1] / f"{name}.py"
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


memory = _neighbour("memory")
clock_module = _neighbour("workers/clock")


class Snapshots(Callback):
    """Stops the clock after each epoch, writes what ranks, stops when validation stalls."""

    def __init__(self, model, data, options, out):
        self.model, self.data, self.options, self.out = model, data, options, out
        self.clock = clock_module.TrainingClock()
        self.begun = time.perf_counter()
        self.preparation = 0.0
        self.values = []

    def on_train_start(self, trainer, module):
        """Starts the clock; what came before was preparation."""
        self.preparation = time.perf_counter() - self.begun
        self.clock.go()

    def on_train_epoch_end(self, trainer, module):
        """Writes what ranks, and stops the training when validation stalls."""
        self.clock.end_epoch()
        module.eval()
        table, bias = self._item_vectors(module)
        found = {"vectors": table, "bias": bias}
        for part in ("valid", "test"):
            found[part] = self._queries(module, part)
        module.train()
        np.savez(self.out / f"epoch-{len(self.values):03d}.npz", **found)
        targets = self.data["valid_targets"]
        self.values.append(_ndcg(found["valid"] @ table[1:].T + bias[1:], targets - 1))
        best = int(np.argmax(self.values))
        trainer.should_stop = len(self.values) - 1 - best >= self.options["patience"]
        print(
            f"rectools epoch {len(self.values)} valid {self.values[-1]:.4f} "
            f"{self.clock.seconds[-1]:.1f} s",
            file=sys.stderr,
            flush=True,
        )
        self.clock.go()

    def _known(self):
        names = self.model.data_preparator.item_id_map.get_external_sorted_by_internal()
        return np.array([0 if isinstance(n, str) else int(n) for n in names])  # PAD -> 0

    @torch.no_grad()
    def _item_vectors(self, module):
        vectors = module.torch_model.item_model.get_all_embeddings().numpy()
        n_items = int(self.data["n_items"])
        table = np.zeros((n_items + 1, vectors.shape[1]), dtype=np.float32)
        bias = np.full(n_items + 1, _UNKNOWN, dtype=np.float32)
        ids = self._known()
        table[ids[1:]], bias[ids[1:]] = vectors[1:], 0.0
        return table, bias

    @torch.no_grad()
    def _queries(self, module, part):
        width = self.options["max_len"]
        internal = np.zeros(int(self.data["n_items"]) + 1, dtype=np.int64)
        ids = self._known()
        internal[ids[1:]] = np.arange(1, len(ids))
        items, starts, stops = (self.data[k] for k in ("items", f"{part}_start", f"{part}_stop"))
        rows = np.zeros((len(starts), width), dtype=np.int64)
        for row, (start, stop) in enumerate(zip(starts, stops, strict=True)):
            history = internal[items[start:stop]]
            history = history[history > 0][-width:]
            if len(history):
                rows[row, -len(history) :] = history
        vectors = module.torch_model.item_model.get_all_embeddings()
        parts = [
            module.torch_model.encode_sessions({"x": batch}, vectors)[:, -1]
            for batch in torch.as_tensor(rows).split(256)
        ]
        return torch.cat(parts).numpy()


def _ndcg(scores, goal, k=10):
    """Returns the mean NDCG@k with one target each and ties counted half, in float32."""
    own = scores[np.arange(len(goal)), goal][:, None]
    rank = 1 + (scores > own).sum(1) + ((scores == own).sum(1) - 1) / 2
    return float(np.where(rank <= k, 1 / np.log2(rank + 1), 0.0).mean())


def _training_frame(data):
    counts = data["train_stop"] - data["train_start"]
    users = np.repeat(np.arange(len(counts)), counts)
    within = np.arange(len(users)) - np.repeat(np.cumsum(counts) - counts, counts)
    return pd.DataFrame(
        {
            Columns.User: users,
            Columns.Item: data["items"][np.repeat(data["train_start"], counts) + within],
            Columns.Weight: 1.0,
            # The place in the history as a time: keeps equal times in the order of the source.
            Columns.Datetime: pd.Timestamp("2020-01-01") + pd.to_timedelta(within, unit="s"),
        }
    )


def train(data, options, out):
    """Trains with the given options and returns the record of the run."""
    torch.set_num_threads(options["threads"])
    seed_everything(options["seed"], workers=True, verbose=False)
    frame = _training_frame(data)
    model = SASRecModel(
        n_blocks=options["n_layers"],
        n_heads=options["n_heads"],
        n_factors=options["dim"],
        dropout_rate=options["dropout"],
        session_max_len=options["max_len"],
        loss="softmax",
        lr=options["learning_rate"],
        batch_size=options["batch_size"],
    )
    snapshots = Snapshots(model, data, options, out)
    model._trainer = Trainer(
        max_epochs=options["epochs"],
        accelerator="cpu",
        devices=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[snapshots],
    )
    before = memory.resident_mib()
    memory.reset_peak()
    snapshots.begun = time.perf_counter()
    # As `model.fit` does, except that it would copy the trainer, and with it these callbacks.
    model._build_model_from_dataset(Dataset.construct(frame))
    model.fit_trainer = model._trainer
    loader = model.data_preparator.get_dataloader_train()
    model.fit_trainer.fit(model.lightning_model, loader)
    return {
        "preparation_seconds": snapshots.preparation,
        "training_seconds": snapshots.clock.seconds,
        "valid": snapshots.values,
        "peak_mib": memory.peak_mib(),
        "baseline_mib": before,
        "parameters": sum(p.numel() for p in model.torch_model.parameters()),
        "known_items": len(snapshots._known()) - 1,
        "steps_per_epoch": len(loader),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
    }


if __name__ == "__main__":
    warnings.filterwarnings("ignore")
    data_path, options_path, folder = map(Path, sys.argv[1:4])
    with np.load(data_path) as arrays:
        everything = {name: arrays[name] for name in arrays.files}
    record = train(everything, json.loads(options_path.read_text()), folder)
    (folder / "record.json").write_text(json.dumps(record))
