"""What is left out of the raw tables, in a stated order, and how much of it.

Exact duplicates, low ratings, repeated pairs, then users and items with too little: each step
sees only what the one before left over.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import Field

from vlmrec.core.columns import ITEM_ID, RATING, TIMESTAMP, USER_ID
from vlmrec.core.config import StrictConfig
from vlmrec.core.errors import ConfigError, DataError
from vlmrec.data.notes import Note, amount
from vlmrec.data.sources.raw_tables import RawTables

RepeatsRule = Literal["keep", "first", "last"]


class CleaningOptions(StrictConfig):
    """What is left out."""

    min_rating: float | None = None
    """Interactions with a lower rating (or none) are no sign of interest and are dropped."""
    repeats: RepeatsRule = "keep"
    """Of several events of one user with one item: keep all, or only the first or the last."""
    min_user: int = Field(default=1, ge=1)
    """Users with fewer events are dropped; repeated together with `min_item` until it holds."""
    min_item: int = Field(default=1, ge=1)
    """Items with fewer events are dropped, from the catalogue too (above 1)."""
    min_history: int = Field(default=3, ge=1)
    """Users with fewer events are dropped; leave-one-out needs 3 (training, validation, test)."""


@dataclass(frozen=True, eq=False)
class Core:
    """What an iterated k-core leaves over.

    Attributes:
        kept: ``[n] bool`` which events stay.
        rounds: How often both rules were applied until nothing changed.
    """

    kept: NDArray[np.bool_]
    rounds: int


def clean(raw: RawTables, options: CleaningOptions) -> RawTables:
    """Returns the tables without what the options leave out, ordered by user and time.

    Users come in the order of their first row; equal times keep the row order of the source.

    Raises:
        ConfigError: A rating threshold was given for data without ratings.
        DataError: Nothing is left; the message says which step took how much.
    """
    log = raw.interactions
    notes: list[Note] = []
    steps: list[Callable[[pl.DataFrame], tuple[pl.DataFrame, list[Note]]]] = [
        drop_exact_duplicates,
        lambda log: drop_low_ratings(log, options.min_rating),
        lambda log: resolve_repeats(log, options.repeats),
        lambda log: drop_sparse(log, options),
    ]
    for step in steps:
        log, said = step(log)
        notes.extend(said)
        if not log.height:
            raise DataError(
                "No interaction is left. " + " ".join(note.sentence for note in notes),
                "Loosen --min-user, --min-item, --min-history or --min-rating.",
            )
    items = raw.items
    if options.min_item > 1:
        items = items.join(log.select(ITEM_ID), on=ITEM_ID, how="semi", maintain_order="left")
        n_gone = raw.items.height - items.height
        if n_gone:
            sentence = (
                f"{amount(n_gone, 'item')} left the catalogue: fewer than "
                f"{amount(options.min_item, 'event')}."
            )
            notes.append(Note("dropped", n_gone, sentence))
    log = order_by_user_and_time(log)
    notes.extend(tie_notes(log))
    return replace(raw, interactions=log, items=items, notes=(*raw.notes, *notes))


def drop_exact_duplicates(log: pl.DataFrame) -> tuple[pl.DataFrame, list[Note]]:
    """Returns the log with one of each set of equal rows (the first), and a note."""
    unique = log.unique(keep="first", maintain_order=True)
    count = log.height - unique.height
    if not count:
        return log, []
    sentence = f"{amount(count, 'row')} that repeat an earlier row in all columns."
    return unique, [Note("dropped", count, sentence)]


def drop_low_ratings(
    log: pl.DataFrame, min_rating: float | None
) -> tuple[pl.DataFrame, list[Note]]:
    """Returns the interactions rated at least `min_rating`, and a note.

    Raises:
        ConfigError: There are no ratings.
    """
    if min_rating is None:
        return log, []
    if RATING not in log.columns:
        raise ConfigError(
            f"--min-rating {min_rating:g} was given, but the interactions have no ratings.",
            "Name their column with --rating, or leave the option out.",
        )
    kept = log.filter(pl.col(RATING) >= min_rating)
    count = log.height - kept.height
    if not count:
        return log, []
    sentence = f"{amount(count, 'interaction')} rated below {min_rating:g} or not at all."
    return kept, [Note("dropped", count, sentence)]


def resolve_repeats(log: pl.DataFrame, rule: RepeatsRule) -> tuple[pl.DataFrame, list[Note]]:
    """Returns the log with repeated user-item pairs kept or reduced to one event, and a note.

    First and last are meant in time; equal times count in row order.
    """
    if rule == "keep":
        count = log.height - log.select(USER_ID, ITEM_ID).n_unique()
        sentence = f"{amount(count, 'event')} of a user with an item that the user had before."
        return log, [Note("kept", count, sentence)] if count else []
    unique = order_by_user_and_time(log).unique([USER_ID, ITEM_ID], keep=rule, maintain_order=True)
    count = log.height - unique.height
    sentence = (
        f"{amount(count, 'event')} of a user with an item, of which only the {rule} one counts."
    )
    return unique, [Note("dropped", count, sentence)] if count else []


def drop_sparse(log: pl.DataFrame, options: CleaningOptions) -> tuple[pl.DataFrame, list[Note]]:
    """Returns the events of users and items that have enough of them, and notes."""
    users, items = _codes(log[USER_ID]), _codes(log[ITEM_ID])
    at_least = max(options.min_user, options.min_history)
    core = iterated_core(users, items, at_least, options.min_item)
    lost = ~core.kept
    if not lost.any():
        return log, []
    kept = log.filter(pl.Series(core.kept))
    n_users = len(np.unique(users)) - len(np.unique(users[core.kept]))
    n_items = len(np.unique(items)) - len(np.unique(items[core.kept]))
    rules = f"users with fewer than {amount(at_least, 'event')}"
    if options.min_history >= options.min_user:
        rules += " (leave-one-out needs that many)" if options.min_history == 3 else ""
    if options.min_item > 1:
        rules += (
            f" and items with fewer than {options.min_item}, applied {core.rounds} times until "
            "nothing changed"
        )
    count = int(lost.sum())
    verb = f"{amount(n_users, 'user')}, {amount(n_items, 'item')} and their "
    sentence = f"{verb}{amount(count, 'interaction')}: {rules}."
    return kept, [Note("dropped", count, sentence)]


def iterated_core(
    users: NDArray[np.int64], items: NDArray[np.int64], min_user: int, min_item: int
) -> Core:
    """Returns the largest set of events in which all users and items have enough of them.

    Args:
        users: ``[n]`` codes 0..U-1, one an event.
        items: ``[n]`` codes 0..I-1, one an event.
        min_user: Fewest events of a user.
        min_item: Fewest events of an item.
    """
    rows = np.arange(len(users))
    rounds = 0
    while len(rows):
        enough = np.bincount(users[rows])[users[rows]] >= min_user
        left = rows[enough]
        if len(left):
            left = left[np.bincount(items[left])[items[left]] >= min_item]
        rounds += 1
        if len(left) == len(rows):
            break
        rows = left
    kept = np.zeros(len(users), dtype=np.bool_)
    kept[rows] = True
    return Core(kept, rounds)


def order_by_user_and_time(log: pl.DataFrame) -> pl.DataFrame:
    """Returns the log by user (first appearance), time, and row of the source."""
    order = np.lexsort((log[TIMESTAMP].to_numpy(), _codes(log[USER_ID])))  # stable
    return log[order]


def tie_notes(log: pl.DataFrame) -> list[Note]:
    """Returns a note about events whose user has another one at the same time.

    Args:
        log: Ordered by user and time.
    """
    follows = pl.all_horizontal(
        pl.col(name).eq(pl.col(name).shift()) for name in (USER_ID, TIMESTAMP)
    )
    same = log.select(follows.fill_null(value=False).alias("same"))["same"].to_numpy()
    tied = int((same | np.append(same[1:], False)).sum())  # both ends of each equality
    if not tied:
        return []
    sentence = (
        f"{amount(tied, 'interaction')} ({tied / log.height:.1%}) share user and time with "
        "another one: ordered by the rows of the source."
    )
    return [Note("kept", tied, sentence)]


def _codes(names: pl.Series) -> NDArray[np.int64]:
    """Returns ``[n] int64``: equal names have equal codes, counted by first appearance."""
    known = names.unique(maintain_order=True)
    return names.cast(pl.Enum(known)).to_physical().cast(pl.Int64).to_numpy()
