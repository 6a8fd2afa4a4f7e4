"""What every side is handed: events, who may be learned from, and the cases, as plain arrays.

Needs nothing but the standard library and numpy, because every environment uses it.
"""

import json
import sys
from pathlib import Path

import numpy as np

EVENTS = "events"  # folder of all events as atomic files, beside the folders of the runs


def handed_over():
    """Returns what the command line names: arrays by name, options, folder for results."""
    data_path, options_path, folder = map(Path, sys.argv[1:4])
    with np.load(data_path) as arrays:
        data = {name: arrays[name] for name in arrays.files}
    return data, json.loads(options_path.read_text(encoding="utf-8")), folder


def flat_events(data, part):
    """Returns the events of all rows of a part, one row after the other.

    Args:
        data: The arrays.
        part: "train", "valid" or "test"; the latter two are histories without targets.

    Returns:
        User, item and place in the history of each event.
    """
    start, counts = data[f"{part}_start"], data[f"{part}_stop"] - data[f"{part}_start"]
    within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    items = data["items"][np.repeat(start, counts) + within]
    return np.repeat(data[f"{part}_users"], counts), items, within


def latest(data, part, width):
    """Returns the latest `width` items of each history, padded with 0 on the right.

    Returns:
        ``[n, width] int64`` items and ``[n] int64`` how many there are.
    """
    stop = data[f"{part}_stop"]
    lengths = np.minimum(stop - data[f"{part}_start"], width)
    places = (stop - lengths)[:, None] + np.arange(width)
    inside = np.arange(width) < lengths[:, None]
    items = data["items"][np.where(inside, places, 0)]
    return np.where(inside, items, 0).astype(np.int64), lengths


def n_targets(data):
    """Returns how many training events have something before them."""
    return int((data["train_stop"] - data["train_start"] - 1).clip(0).sum())


def targets_of_windows(data, width):
    """Returns how many targets one window of at most `width` targets a user has, by user."""
    counts = data["train_stop"] - data["train_start"]
    return np.minimum(counts[counts >= 2] - 1, width)
