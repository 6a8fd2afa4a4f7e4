"""Trains RecBole's SASRec and records time, validation and ranks.

Run in RecBole's own environment, with the root of this repository as PYTHONPATH:
``python -m benchmarks.workers.recbole_sasrec DATA.npz OPTIONS.json OUT_FOLDER``. The events lie
beside OUT_FOLDER as atomic files, in the folder EVENTS.
"""

import os
import warnings

import numpy as np
import torch
from recbole.config import Config
from recbole.data import create_dataset, data_preparation
from recbole.model.sequential_recommender import SASRec
from recbole.trainer import Trainer
from recbole.utils import init_seed

from benchmarks.workers.handover import EVENTS, handed_over, latest, targets_of_windows
from benchmarks.workers.ranks import target_ranks
from benchmarks.workers.run_log import RunLog

USER, ITEM, TIME = "user_id", "item_id", "timestamp"
UNKNOWN = -1e9  # score of items of the catalogue without any event, which RecBole never sees


def configure(options, prefixes, folder):
    """Returns RecBole's configuration.

    Args:
        options: Of the run.
        prefixes: How many prefixes, each with one target, a batch has.
        folder: Where the events are.
    """
    return Config(
        model="SASRec",
        dataset=folder.name,
        config_dict={
            "data_path": str(folder.parent),
            "checkpoint_dir": ".",
            "USER_ID_FIELD": USER,
            "ITEM_ID_FIELD": ITEM,
            "TIME_FIELD": TIME,
            "load_col": {"inter": [USER, ITEM, TIME]},
            "eval_args": {
                "split": {"LS": "valid_and_test"},
                "order": "TO",
                "group_by": "user",
                "mode": "full",
            },
            "train_neg_sample_args": None,
            "loss_type": "CE",
            "hidden_size": options["dim"],
            "inner_size": options["hidden"],
            "n_layers": options["n_layers"],
            "n_heads": options["n_heads"],
            "hidden_dropout_prob": options["dropout"],
            "attn_dropout_prob": options["dropout"],
            "MAX_ITEM_LIST_LENGTH": options["max_len"],
            "learning_rate": options["learning_rate"],
            "train_batch_size": prefixes,
            "epochs": options["epochs"],
            "metrics": ["NDCG", "Recall", "MRR"],
            "topk": [10],
            "valid_metric": "NDCG@10",
            "metric_decimal_place": 12,
            "use_gpu": False,
            "gpu_id": "",
            "seed": options["seed"],
            "show_progress": False,
            "state": "ERROR",
        },
    )


class Ranked:
    """The rows of one of RecBole's evaluation sets, in the order of our cases.

    Args:
        loader: RecBole's.
        data: The arrays.
        part: "valid" or "test".
        width: Longest history.

    Raises:
        ValueError: RecBole's split is not the one that was handed over.
    """

    def __init__(self, loader, data, part, width):
        rows = loader.dataset.inter_feat
        self._names = loader.dataset.field2id_token
        users = self._names[USER][rows[USER].numpy()].astype(np.int64)
        order = np.argsort(users)
        self.items, self.lengths = rows[f"{ITEM}_list"][order], rows["item_length"][order]
        self.targets = data[f"{part}_targets"]
        expected, lengths = latest(data, part, width)
        same = (
            np.array_equal(users[order], data[f"{part}_users"])
            and np.array_equal(self.ids()[rows[ITEM][order].numpy()], self.targets)
            and np.array_equal(self.lengths.numpy(), lengths)
            and np.array_equal(self.ids()[self.items.numpy()], expected)
        )
        if not same:
            raise ValueError(f"RecBole's {part} cases are not those that were handed over.")

    def ids(self):
        """Returns our id of each of RecBole's items; 0 for its padding."""
        names = self._names[ITEM]
        return np.concatenate([[0], names[1:].astype(np.int64)])

    @torch.no_grad()
    def ranks(self, model, n_items):
        """Returns the rank of every target among our whole catalogue."""
        model.eval()
        blocks = zip(self.items.split(256), self.lengths.split(256), strict=True)
        queries = [model(*block) for block in blocks]
        ids, weight = self.ids(), model.item_embedding.weight.numpy()
        vectors = np.zeros((n_items + 1, weight.shape[1]), dtype=np.float32)
        bias = np.full(n_items + 1, UNKNOWN, dtype=np.float32)
        vectors[ids[1:]], bias[ids[1:]] = weight[1:], 0.0
        return target_ranks(torch.cat(queries).numpy(), vectors, bias, self.targets)


def state_of(trainer, loader):
    """Returns what training needs to go on."""
    return {
        "model": trainer.model.state_dict(),
        "optimizer": trainer.optimizer.state_dict(),
        "random": torch.get_rng_state(),
        "order": loader.generator.get_state(),
    }


def begun_again(log, trainer, loader):
    """Returns how many epochs are done, with everything as it was after them."""
    checkpoint = log.go_on()
    if checkpoint is not None:
        state = torch.load(checkpoint)
        trainer.model.load_state_dict(state["model"])
        trainer.optimizer.load_state_dict(state["optimizer"])
        torch.set_rng_state(state["random"])
        loader.generator.set_state(state["order"])
    return len(log.valid)


def run(data, options, out):
    """Trains with the given options and writes the record of the run."""
    torch.set_num_threads(options["threads"])
    windows = targets_of_windows(data, options["max_len"])
    prefixes = round(options["batch_size"] * float(windows.mean()))
    log = RunLog("recbole", options, out)
    log.begin()
    config = configure(options, prefixes, out.parent / EVENTS)
    init_seed(config["seed"], config["reproducibility"])
    loaders = data_preparation(config, create_dataset(config))
    model = SASRec(config, loaders[0].dataset)
    trainer = Trainer(config, model)
    trainer.eval_collector.data_collect(loaders[0])
    cases = [
        Ranked(loader, data, part, options["max_len"])
        for loader, part in zip(loaders[1:], ("valid", "test"), strict=True)
    ]
    for epoch in range(begun_again(log, trainer, loaders[0]), options["epochs"]):
        log.go()
        trainer._train_epoch(loaders[0], epoch)
        log.end_epoch()
        log.validated(*(part.ranks(model, int(data["n_items"])) for part in cases))
        if log.stopped:
            break
        log.keep(lambda path: torch.save(state_of(trainer, loaders[0]), path))
    seconds, metrics = log.evaluate(lambda: trainer.evaluate(loaders[2], load_best_model=False))
    names = {"ndcg@10": "NDCG@10", "recall@10": "Recall@10", "mrr@10": "MRR@10"}
    log.write(
        evaluation_seconds=seconds,
        own_metrics={names[name]: float(value) for name, value in metrics.items()},
        parameters=sum(weight.numel() for weight in model.parameters()),
        known_items=len(cases[0].ids()) - 1,
        hidden=options["hidden"],
        steps_per_epoch=len(loaders[0]),
        targets_per_epoch=len(loaders[0].dataset),
        batch=f"{prefixes} prefixes of one target each, padded to {options['max_len']}: "
        f"the targets of {options['batch_size']} users' windows",
        loss="cross-entropy over all items and the padding",
        torch=torch.__version__,
        threads=torch.get_num_threads(),
    )


if __name__ == "__main__":
    warnings.filterwarnings("ignore")
    # RecBole writes TensorBoard events below the current folder, whatever it is configured to.
    everything = handed_over()
    os.chdir(everything[2])
    run(*everything)
