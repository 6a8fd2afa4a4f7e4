"""k-core before the split: a filter that counted test events too."""

import numpy as np

from vlmrec.data.checks.check import DataCheck, Subject, checked, share
from vlmrec.data.checks.thresholds import FILTERED_ITEM, FILTERED_USER
from vlmrec.data.cleaning import iterated_core
from vlmrec.data.notes import amount
from vlmrec.data.sequences import IntArray

_FEWEST = 10
"""Users or items at the edge below which its shape says nothing."""


def k_core_before_split(subject: Subject) -> DataCheck:
    """Whether users or items with few events are gone from the log, test events counted."""
    log = subject.dataset.sequences
    per_item = np.bincount(log.items)[1:]
    stated = subject.dataset.manifest.get("source", {}).get("cleaning", {})
    stated_user = max(int(stated.get("min_user", 1)), int(stated.get("min_history", 1)))
    stated_item = int(stated.get("min_item", 1))
    user = max(stated_user, cut_edge(np.diff(log.offsets)))
    item = max(stated_item, cut_edge(per_item[per_item > 0]))
    filtered = user > FILTERED_USER or item > FILTERED_ITEM
    figures: dict[str, float] = {"min_user": user, "min_item": item}
    found = (
        f"no sign of it: fewest events of a user {np.diff(log.offsets).min():,}, "
        f"of an item {per_item[per_item > 0].min():,}"
    )
    if filtered:
        how = "stated" if (user, item) == (stated_user, stated_item) else "seen in the counts"
        rules = [f"users from {user:,}"] * (user > FILTERED_USER)
        rules += [f"items from {item:,}"] * (item > FILTERED_ITEM)
        found = f"only {' and '.join(rules)} events on were kept ({how})"
        said, more = _on_training_rows(subject, user, item)
        found, figures = found + said, figures | more
    return checked(
        "k-core before split",
        "warn" if filtered else "pass",
        found,
        "Whether a user or item stayed depended on test events too, which flatters every model. "
        "Published 5-core results do it: say that you did.",
        figures,
    )


def cut_edge(counts: IntArray) -> int:
    """Returns the fewest events that a filter seems to have asked for; 1 without any sign.

    Counts of people and items fall off, over a wide range, from many with few events to few
    with many. Where they do, but start above 1, the start was cut off. Counts in a heap around
    their mean are not.
    """
    least = int(counts.min())
    width = least // 5 + 1
    at_edge = int((counts < least + width).sum())
    beyond = int(((counts >= least + width) & (counts < least + 2 * width)).sum())
    falls = at_edge >= max(beyond, _FEWEST) and int(counts.max()) >= 4 * least
    return least if least > 1 and falls else 1


def _on_training_rows(subject: Subject, user: int, item: int) -> tuple[str, dict[str, float]]:
    """Returns what the same filter would take from training events alone."""
    if subject.split is None:
        return "", {}
    train = subject.split.train
    owners, items = train.row_of_events(), train.flat().astype(np.int64)
    kept = iterated_core(owners, items, user, item).kept
    stays = np.zeros(subject.dataset.n_items, dtype=np.bool_)
    stays[items[kept] - 1] = True
    n_users = len(np.unique(owners)) - len(np.unique(owners[kept]))
    n_items = len(np.unique(subject.dataset.sequences.items)) - int(stays.sum())
    lost = subject.targets_among(~stays)
    said = (
        f"; counted in training rows alone, {amount(n_users, 'user')} and "
        f"{amount(n_items, 'item')} more have too few, the items of {lost:,} test targets "
        f"({share(lost, len(subject.targets)):.1%}) among them"
    )
    return said, {"users_more": n_users, "items_more": n_items, "targets_lost": lost}
