"""Trains RecTools' SASRec and records time, validation and ranks.

Run in RecTools' own environment, with the root of this repository as PYTHONPATH:
``python -m benchmarks.workers.rectools_sasrec DATA.npz OPTIONS.json OUT_FOLDER``.
"""

import logging
import warnings

import numpy as np
import pandas as pd
import torch
from pytorch_lightning import Callback, Trainer, seed_everything
from rectools import Columns
from rectools.dataset import Dataset
from rectools.metrics import MRR, NDCG, Recall, calc_metrics
from rectools.models import SASRecModel

from benchmarks.workers.handover import flat_events, handed_over, n_targets, targets_of_windows
from benchmarks.workers.ranks import target_ranks
from benchmarks.workers.run_log import RunLog

UNKNOWN = -1e9  # score of items that RecTools does not know because training lacks them
METRICS = {
    "NDCG@10": NDCG(k=10, divide_by_achievable=True),
    "Recall@10": Recall(k=10),
    "MRR@10": MRR(k=10),
}


class Epochs(Callback):
    """Stops the clock after each epoch, ranks, and stops when the log says so."""

    def __init__(self, model, data, options, notes):
        self.model, self.data, self.options, self.notes = model, data, options, notes
        self.random = None

    def on_train_start(self, trainer, module):
        """Starts the clock; what came before was preparation."""
        self.notes.go()

    def on_train_epoch_end(self, trainer, module):
        """Validates apart from the clock."""
        self.notes.end_epoch()
        module.eval()
        vectors, bias = self._item_vectors(module)
        ranks = [
            target_ranks(self._queries(module, p), vectors, bias, self.data[f"{p}_targets"])
            for p in ("valid", "test")
        ]
        module.train()
        self.notes.validated(*ranks)
        trainer.should_stop = bool(self.notes.stopped)
        if not self.notes.stopped:
            self.notes.keep(trainer.save_checkpoint)
            self.notes.go()

    def state_dict(self):
        """Returns where the random numbers are; Lightning keeps all but them."""
        return {"random": torch.get_rng_state()}

    def load_state_dict(self, state_dict):
        """Takes the random numbers of a checkpoint; until an epoch starts others are drawn."""
        self.random = state_dict["random"]

    def on_train_epoch_start(self, trainer, module):
        """Goes on with the random numbers of a checkpoint."""
        if self.random is not None:
            torch.set_rng_state(self.random)
            self.random = None

    def known(self):
        """Returns our id of each of RecTools' items; 0 for its padding."""
        names = self.model.data_preparator.item_id_map.get_external_sorted_by_internal()
        return np.array([0 if isinstance(n, str) else int(n) for n in names])

    @torch.no_grad()
    def _item_vectors(self, module):
        vectors = module.torch_model.item_model.get_all_embeddings().numpy()
        n_items = int(self.data["n_items"])
        table = np.zeros((n_items + 1, vectors.shape[1]), dtype=np.float32)
        bias = np.full(n_items + 1, UNKNOWN, dtype=np.float32)
        ids = self.known()
        table[ids[1:]], bias[ids[1:]] = vectors[1:], 0.0
        return table, bias

    @torch.no_grad()
    def _queries(self, module, part):
        """Returns ``[n, D]``: the last state of each history, of which unknown items are dropped.

        RecTools drops them before it takes the latest `max_len`, so this does as well.
        """
        width = self.options["max_len"]
        internal = np.zeros(int(self.data["n_items"]) + 1, dtype=np.int64)
        ids = self.known()
        internal[ids[1:]] = np.arange(1, len(ids))
        starts, stops = self.data[f"{part}_start"], self.data[f"{part}_stop"]
        rows = np.zeros((len(starts), width), dtype=np.int64)
        for row, (start, stop) in enumerate(zip(starts, stops, strict=True)):
            history = internal[self.data["items"][start:stop]]
            history = history[history > 0][-width:]
            if len(history):
                rows[row, -len(history) :] = history
        vectors = module.torch_model.item_model.get_all_embeddings()
        parts = [
            module.torch_model.encode_sessions({"x": batch}, vectors)[:, -1]
            for batch in torch.as_tensor(rows).split(256)
        ]
        return torch.cat(parts).numpy()


def frame(data, part):
    """Returns the events of a part as RecTools' table of interactions."""
    users, items, places = flat_events(data, part)
    # The place in the history as a time: keeps equal times in the order of the source.
    times = pd.Timestamp("2020-01-01") + pd.to_timedelta(places, unit="s")
    return pd.DataFrame(
        {
            Columns.User: users,
            Columns.Item: items,
            Columns.Weight: 1.0,
            Columns.Datetime: times,
        }
    )


def build(options):
    """Returns the model, not yet trained."""
    return SASRecModel(
        n_blocks=options["n_layers"],
        n_heads=options["n_heads"],
        n_factors=options["dim"],
        dropout_rate=options["dropout"],
        session_max_len=options["max_len"],
        loss="softmax",
        lr=options["learning_rate"],
        batch_size=options["batch_size"],
    )


def fit(model, epochs, frame, options):
    """Trains as `model.fit` does, except that it would copy the trainer and its callbacks."""
    model._trainer = Trainer(
        max_epochs=options["epochs"],
        accelerator="cpu",
        devices=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[epochs],
    )
    model._build_model_from_dataset(Dataset.construct(frame))
    model.fit_trainer = model._trainer
    loader = model.data_preparator.get_dataloader_train()
    checkpoint = epochs.notes.go_on()
    # Otherwise it draws its first weights, over those of the checkpoint that were just loaded.
    model.lightning_model.is_fitted = checkpoint is not None
    model.fit_trainer.fit(model.lightning_model, loader, ckpt_path=checkpoint)
    model.is_fitted = True
    return len(loader)


def evaluation(model, data):
    """Returns a function that evaluates all users with RecTools' own means."""
    histories = Dataset.construct(frame(data, "test"))
    users = data["test_users"]
    wanted = pd.DataFrame({Columns.User: users, Columns.Item: data["test_targets"]})

    def evaluate():
        lists = model.recommend(
            users, histories, k=10, filter_viewed=False, on_unsupported_targets="ignore"
        )
        return calc_metrics(METRICS, reco=lists, interactions=wanted)

    return evaluate


def run(data, options, out):
    """Trains with the given options and writes the record of the run."""
    torch.set_num_threads(options["threads"])
    seed_everything(options["seed"], workers=True, verbose=False)
    events = frame(data, "train")
    # As many targets without a better validation as the other sides may see, not as many epochs.
    width = options["max_len"]
    an_epoch = int(targets_of_windows(data, width).sum())
    patience = round(options["patience"] * n_targets(data) / an_epoch)
    log = RunLog("rectools", {**options, "patience": patience}, out)
    log.begin()
    model = build(options)
    epochs = Epochs(model, data, options, log)
    steps = fit(model, epochs, events, options)
    seconds, metrics = log.evaluate(evaluation(model, data))
    log.write(
        evaluation_seconds=seconds,
        own_metrics=metrics,
        parameters=sum(p.numel() for p in model.torch_model.parameters()),
        known_items=len(epochs.known()) - 1,
        hidden=options["dim"],
        steps_per_epoch=steps,
        targets_per_epoch=an_epoch,
        batch=f"{options['batch_size']} users, of each the last {width} targets, padded to {width}",
        loss="softmax over all items of training",
        torch=torch.__version__,
        threads=torch.get_num_threads(),
    )


if __name__ == "__main__":
    warnings.filterwarnings("ignore")
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    run(*handed_over())
