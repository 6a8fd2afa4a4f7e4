"""The immutable dataset: interactions as sequences, items as a catalogue, one fingerprint."""

import hashlib
import os
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from vlmrec.core.columns import IMAGE, ITEM_ID, TIMESTAMP, USER_ID
from vlmrec.core.errors import ArtifactError, DataError
from vlmrec.core.files import atomic_folder, read_json_object, write_json
from vlmrec.data.catalog import Catalog, complete_table, match_pictures
from vlmrec.data.cold_items import ColdItemOptions, cold_item_split
from vlmrec.data.frames import Frame, ordered_interactions, to_polars
from vlmrec.data.parquet_log import read_log
from vlmrec.data.parquet_write import write_table
from vlmrec.data.sequences import Sequences
from vlmrec.data.splits import GlobalTimeOptions, Split
from vlmrec.data.vocabulary import Vocabulary

if TYPE_CHECKING:
    from vlmrec.data.splits import TargetRule

MANIFEST_FORMAT = 1


@dataclass(frozen=True, eq=False)
class Dataset:
    """Users, items and events; never changes after it was made.

    Attributes:
        users: External and internal user ids.
        items: External and internal item ids; the catalogue has the same order.
        sequences: Events of each user, oldest first; equal times in row order of the source.
        catalog: Words and pictures of the items.
        fingerprint: Changes whenever an event, an id, a text or an image path does.
        manifest: Where the data came from and what was done to it.
        events: Columns beyond user, item and time (rating, event), in the order of
            `sequences`; None where there are none or they were not loaded.
    """

    users: Vocabulary
    items: Vocabulary
    sequences: Sequences
    catalog: Catalog
    fingerprint: str
    manifest: dict[str, Any]
    events: pl.DataFrame | None = None

    @property
    def n_items(self) -> int:
        """Number of items I."""
        return len(self.items)

    @property
    def n_users(self) -> int:
        """Number of users."""
        return len(self.users)

    @classmethod
    def from_frames(
        cls,
        interactions: Frame,
        items: Frame | None = None,
        images: str | os.PathLike[str] | None = None,
    ) -> "Dataset":
        """Returns the dataset that two tables and a folder of pictures describe.

        Args:
            interactions: pandas, polars or arrow table with ``user_id``, ``item_id``,
                ``timestamp`` (seconds UTC, or dates); row order decides equal times.
            items: Table with ``item_id`` and, as far as there are any, ``title``,
                ``description``, ``image`` (path relative to `images`), attributes.
            images: Folder of pictures; without an ``image`` column they are found by the name
                ``<item_id>.jpg`` (or another picture suffix).

        Raises:
            DataError: A column is missing, an id is null or a time is not one.
        """
        log = ordered_interactions(to_polars(interactions, "interactions"))
        table = None if items is None else to_polars(items, "items")
        if table is not None and ITEM_ID not in table.columns:
            raise DataError(
                f"The items table has no column '{ITEM_ID}'; it has {table.columns}.",
                f"Rename the id column to '{ITEM_ID}'.",
            )
        table = complete_table(table, log[ITEM_ID])
        root = None if images is None else Path(images)
        if root is not None:
            table = match_pictures(table, root)
        item_ids = Vocabulary(table[ITEM_ID], "item")
        user_ids = Vocabulary(log[USER_ID].unique(maintain_order=True), "user")
        sequences = _sequences(log, user_ids, item_ids)
        rest = log.drop(USER_ID, ITEM_ID, TIMESTAMP)
        return cls._make(
            user_ids, item_ids, sequences, Catalog(table, root), rest if rest.width else None
        )

    @classmethod
    def load(cls, folder: str | os.PathLike[str]) -> "Dataset":
        """Returns the dataset in a folder.

        A folder that `save` or `vlmrec prepare` wrote is memory-mapped. One with only
        ``interactions.parquet`` and, optionally, ``items.parquet`` and ``images/`` is read
        as it is.

        Raises:
            DataError: There is no dataset in the folder.
            ArtifactError: It is damaged.
        """
        path = Path(folder)
        if not (path / "interactions.parquet").is_file():
            raise DataError(
                f"'{path}' is not a dataset folder: it has no 'interactions.parquet'.",
                "Make one with: vlmrec prepare files YOUR_FILES --out DIR",
            )
        if (path / "manifest.json").is_file():
            return cls._load_prepared(path)
        items_path = path / "items.parquet"
        table = _read_parquet(items_path) if items_path.is_file() else None
        user_ids, extra_ids, log = read_log(
            path / "interactions.parquet", None if table is None else table[ITEM_ID]
        )
        table = complete_table(table, extra_ids)
        return cls._make(user_ids, Vocabulary(table[ITEM_ID], "item"), log, Catalog(table, path))

    @classmethod
    def _load_prepared(cls, path: Path) -> "Dataset":
        manifest = read_json_object(path / "manifest.json")
        if manifest.get("format") != MANIFEST_FORMAT:
            raise ArtifactError(
                f"'{path / 'manifest.json'}' is not a dataset manifest of format "
                f"{MANIFEST_FORMAT}.",
                "Prepare the dataset again with this version.",
            )
        table = _read_parquet(path / "items.parquet")
        users = _read_parquet(path / "sequences" / "users.parquet")[USER_ID]
        return cls(
            Vocabulary(users, "user"),
            Vocabulary(table[ITEM_ID], "item"),
            Sequences.read(path / "sequences"),
            Catalog(table, path),
            str(manifest["fingerprint"]),
            manifest,
        )

    @classmethod
    def _make(
        cls,
        users: Vocabulary,
        items: Vocabulary,
        sequences: Sequences,
        catalog: Catalog,
        events: pl.DataFrame | None = None,
    ) -> "Dataset":
        fingerprint = _fingerprint(users, items, sequences, catalog)
        return cls(users, items, sequences, catalog, fingerprint, {}, events)

    def save(
        self,
        folder: str | os.PathLike[str],
        *,
        overwrite: bool = False,
        source: dict[str, Any] | None = None,
    ) -> "Dataset":
        """Writes the dataset folder, whole or not at all, and returns it loaded from there.

        Args:
            folder: Where to.
            overwrite: Replace a folder that is already there.
            source: What goes into the manifest about origin, filters and notes.

        Raises:
            DataError: The folder is taken, read-only, or the disk is full.
        """
        target = Path(folder)
        with atomic_folder(target, overwrite=overwrite) as temporary:
            catalog = _copy_pictures(self.catalog, temporary / "images")
            stored = self.with_catalog(catalog)
            write_table(stored.to_interactions(), temporary / "interactions.parquet")
            write_table(catalog.table, temporary / "items.parquet")
            self.sequences.write(temporary / "sequences")
            names = self.users.names.rename(USER_ID).to_frame()
            write_table(names, temporary / "sequences" / "users.parquet")
            write_json(temporary / "manifest.json", stored.describe(source))
        return Dataset.load(target)

    def with_catalog(self, catalog: Catalog) -> "Dataset":
        """Returns the dataset with other words or pictures of the same items, in their order."""
        fingerprint = _fingerprint(self.users, self.items, self.sequences, catalog)
        return replace(self, catalog=catalog, fingerprint=fingerprint)

    def with_sequences(self, sequences: Sequences) -> "Dataset":
        """Returns the dataset with other events of the same users and items."""
        fingerprint = _fingerprint(self.users, self.items, sequences, self.catalog)
        return replace(self, sequences=sequences, fingerprint=fingerprint, events=None)

    def describe(self, source: dict[str, Any] | None = None) -> dict[str, Any]:
        """Returns the manifest: source, counts, fingerprint."""
        return {
            "format": MANIFEST_FORMAT,
            "fingerprint": self.fingerprint,
            "counts": {
                "users": self.n_users,
                "items": self.n_items,
                "interactions": self.sequences.n_events,
                "items_with_image": int(self.catalog.table[IMAGE].is_not_null().sum()),
                "items_with_text": sum(bool(text) for text in self.catalog.texts()),
            },
            "source": source or {},
        }

    def to_interactions(self) -> pl.DataFrame:
        """Returns the events as a table, by user and time."""
        rows = np.repeat(np.arange(self.n_users), np.diff(self.sequences.offsets))
        log = pl.DataFrame(
            {
                USER_ID: self.users.names.gather(rows),
                ITEM_ID: self.items.names.gather(self.sequences.items.astype(np.int64) - 1),
                TIMESTAMP: np.asarray(self.sequences.timestamps),
            }
        )
        return log if self.events is None else log.hstack(self.events.get_columns())

    def leave_one_out(self) -> Split:
        """Returns the split: last event of a user = test, second last = validation."""
        return Split.leave_one_out(self)

    def global_time(
        self,
        valid_share: float = 0.1,
        test_share: float = 0.1,
        target: "TargetRule" = "last",
    ) -> Split:
        """Returns the split by two points in time that hold for all users."""
        options = GlobalTimeOptions(valid_share=valid_share, test_share=test_share, target=target)
        return Split.global_time(self, options)

    def cold_items(self, share: float = 0.2, last: float = 0.3, seed: int = 0) -> Split:
        """Returns the split in which a share of the items never occurs in training."""
        return cold_item_split(self, ColdItemOptions(share=share, last=last, seed=seed))


def _sequences(log: pl.DataFrame, users: Vocabulary, items: Vocabulary) -> Sequences:
    counts = log.group_by(USER_ID, maintain_order=True).len()["len"].to_numpy()
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    if len(counts) != len(users):
        raise DataError("The interactions are not grouped by user.")
    return Sequences(
        items.to_internal(log[ITEM_ID]).astype(np.int32),
        offsets,
        log[TIMESTAMP].to_numpy().astype(np.int64),
    )


def _read_parquet(path: Path) -> pl.DataFrame:
    try:
        return pl.read_parquet(path)
    except (OSError, pl.exceptions.PolarsError) as error:
        reason = str(error).splitlines()[0]
        raise ArtifactError(f"'{path}' cannot be read as Parquet: {reason}.") from None


def _copy_pictures(catalog: Catalog, folder: Path) -> Catalog:
    folder.mkdir()
    names: list[str | None] = []
    for path in catalog.image_paths():
        if path is None or not path.is_file():
            names.append(None)
            continue
        name = path.name
        target = folder / name
        if target.exists():  # two source folders, one file name
            name = f"{len(names)}-{path.name}"
            target = folder / name
        shutil.copyfile(path, target)
        names.append(f"images/{name}")
    column = pl.Series(IMAGE, names, dtype=pl.String)
    return Catalog(catalog.table.with_columns(column), folder.parent)


def _fingerprint(
    users: Vocabulary, items: Vocabulary, sequences: Sequences, catalog: Catalog
) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for names in (users.names, items.names):
        digest.update("\x1e".join(names).encode())
    for array in (sequences.items, sequences.offsets, sequences.timestamps):
        digest.update(np.ascontiguousarray(array).data)
    for name in sorted(catalog.table.columns):
        column = catalog.table[name]
        text = column.list.join("\x1f") if column.dtype == pl.List(pl.String) else column
        digest.update(name.encode())
        digest.update("\x1e".join("" if v is None else str(v) for v in text).encode())
    return digest.hexdigest()
