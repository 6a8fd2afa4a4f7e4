"""A small log whose items have words, pictures, both or neither."""

from pathlib import Path

import polars as pl

from vlmrec.core.columns import TITLE
from vlmrec.data.dataset import Dataset
from vlmrec.testing.vlm_samples import noise_picture
from vlmrec.testing.worlds import small_items, small_log


def pictured_dataset(
    folder: Path, *, n_users: int = 12, n_items: int = 10, gaps: bool = True
) -> Dataset:
    """Returns a dataset in which, with gaps, i00 has no title, i01 no picture and i02 neither.

    Args:
        folder: Where the pictures go.
        n_users: Number of users.
        n_items: Number of items.
        gaps: Whether something is missing.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for item in sorted({*range(n_items)} - ({1, 2} if gaps else set())):
        (folder / f"i{item:02d}.png").write_bytes(noise_picture(item, 20 + item, 24))
    nameless = pl.int_range(pl.len()).is_in([0, 2] if gaps else [])
    items = small_items(n_items).with_columns(
        pl.when(nameless).then(None).otherwise(TITLE).alias(TITLE)
    )
    return Dataset.from_frames(small_log(n_users, n_items), items, folder)


def attributed_dataset(folder: Path, *, n_users: int = 12) -> Dataset:
    """Returns the same with a genre for all items but i06.

    Args:
        folder: Where the pictures go.
        n_users: Number of users.
    """
    plain = pictured_dataset(folder, n_users=n_users)
    genres = [None if number == 6 else f"genre {number % 3}" for number in range(plain.n_items)]
    items = plain.catalog.table.with_columns(genre=pl.Series(genres))
    return Dataset.from_frames(plain.to_interactions(), items, folder)
