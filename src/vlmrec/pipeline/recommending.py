"""Next items for histories that the model may never have seen."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import polars as pl
import torch

from vlmrec.core.columns import ITEM_ID, RANK, SCORE, TITLE, USER_ID
from vlmrec.core.errors import ConfigError, DataError
from vlmrec.data.sequences import gather_padded
from vlmrec.index.exact import ExactIndex
from vlmrec.index.mixed import MixedIndex
from vlmrec.index.search import Found, Limits
from vlmrec.pipeline.run import Run

_ROWS = 256


def recommend(
    run: Run | str | os.PathLike[str],
    history: Sequence[str] | None = None,
    *,
    histories: Mapping[str, Sequence[str]] | None = None,
    k: int = 10,
    filter_seen: bool = True,
) -> pl.DataFrame:
    """Returns the k best next items for one history or for many.

    Args:
        run: A run or its folder.
        history: Item ids, oldest first, of one person (called "" in the result).
        histories: Or: person -> item ids.
        k: How many items each.
        filter_seen: Leave out items of the history. Evaluation leaves them in by default,
            people do not want them.

    Returns:
        ``user_id, item_id, score, rank`` (rank from 1) and ``title``.

    Raises:
        DataError: A history is empty or names an unknown item.
        ConfigError: k is not positive, or both or neither of the histories are given.
    """
    if (history is None) == (histories is None):
        raise ConfigError("Give either 'history' (one person) or 'histories' (many).")
    if k < 1:
        raise ConfigError(f"k was given as {k}; expected at least 1.")
    people = {"": history} if history is not None else dict(histories or {})
    run = run if isinstance(run, Run) else Run.load(Path(run))
    for person, items in people.items():
        check_history(person, items)
    names = list(people)
    parts = [
        _recommend_rows(run, {name: people[name] for name in names[i : i + _ROWS]}, k, filter_seen)
        for i in range(0, len(names), _ROWS)
    ]
    return pl.concat(parts)


def check_history(person: str, items: Sequence[str]) -> None:
    """Refuses what is no list of item ids.

    Args:
        person: Whose history it is, for messages; may be empty.
        items: The history.

    Raises:
        DataError: It is empty, a text, or holds something else than texts.
    """
    whose = f" of '{person}'" if person else ""
    if isinstance(items, str):
        raise DataError(
            f"The history{whose} is the text '{items}'; expected a list of item ids.",
            f"Write ['{items}'].",
        )
    if not len(items):
        raise DataError(f"The history{whose} is empty.", "Name at least one item id.")
    for item in items:
        if not isinstance(item, str):
            raise DataError(
                f"The history{whose} holds {item!r}, a {type(item).__name__}; ids are text.",
                f"Write '{item}'.",
            )


def _recommend_rows(
    run: Run, people: Mapping[str, Sequence[str]], k: int, filter_seen: bool
) -> pl.DataFrame:
    ranker, vocabulary, quota = run.ranker(), run.vocabulary, run.quota()
    index = ExactIndex(ranker) if quota is None else MixedIndex(ExactIndex(ranker), quota)
    flat = vocabulary.require([item for items in people.values() for item in items])
    flat = flat.astype(np.int32)
    lengths = np.array([len(items) for items in people.values()], dtype=np.int64)
    start = np.cumsum(lengths) - lengths
    kept = np.minimum(lengths, ranker.max_len)
    latest = gather_padded(flat, start + lengths - kept, kept)
    queries = ranker.encode(torch.as_tensor(latest).to(ranker.device))
    seen = torch.as_tensor(gather_padded(flat, start, lengths)) if filter_seen else None
    found = index.search(queries, min(k, ranker.n_items), Limits(excluded=seen))
    return _table(run, list(people), found)


def _table(run: Run, names: list[str], found: Found) -> pl.DataFrame:
    B, k = found.items.shape
    rows, left = found.items.flatten().numpy() - 1, found.items.flatten().numpy() > 0
    table = pl.DataFrame(
        {
            USER_ID: np.repeat(np.array(names, dtype=object), k).tolist(),
            ITEM_ID: run.items[ITEM_ID].gather(rows.clip(0)),
            SCORE: found.scores.flatten().numpy(),
            RANK: np.tile(np.arange(1, k + 1, dtype=np.int64), B),
            TITLE: run.items[TITLE].gather(rows.clip(0)),
        }
    )
    return table.filter(pl.Series(left))
