"""`vlmrec prepare NAME` for published datasets: options, one call, the report."""

from pathlib import Path
from typing import Annotated

import typer

from vlmrec.cli.preparing import (
    READING,
    AsJson,
    DropInvalid,
    MinHistory,
    MinItem,
    MinRating,
    MinUser,
    Out,
    Overwrite,
    Repeats,
    write_dataset,
)
from vlmrec.core.files import refuse_existing
from vlmrec.data.cleaning import CleaningOptions
from vlmrec.data.sources.amazon import read_amazon
from vlmrec.data.sources.microlens import read_microlens
from vlmrec.data.sources.movielens import read_movielens
from vlmrec.data.sources.pixelrec import read_pixelrec

Covers = Annotated[
    Path | None,
    typer.Option(
        help="Folder of pictures <item id>.jpg; default: the one in PATH, if there is one.",
        rich_help_panel=READING,
    ),
]


def add_published(app: typer.Typer) -> None:
    """Adds one sub-verb for each published dataset."""
    app.command("amazon")(prepare_amazon)
    app.command("movielens")(prepare_movielens)
    app.command("microlens")(prepare_microlens)
    app.command("pixelrec")(prepare_pixelrec)


def prepare_amazon(
    paths: Annotated[
        list[Path],
        typer.Argument(help="Reviews (or a CSV of ratings) and metadata, plain or gzip."),
    ],
    out: Out,
    images: Annotated[
        Path | None, typer.Option(help="Folder of pictures <asin>.jpg.", rich_help_panel=READING)
    ] = None,
    min_user: MinUser = 1,
    min_item: MinItem = 1,
    min_history: MinHistory = 3,
    repeats: Repeats = "keep",
    min_rating: MinRating = None,
    drop_invalid: DropInvalid = False,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Turn Amazon Reviews (2014, 2018, 2023) into a dataset folder.

    Which release it is and which file holds what follows from their first lines. Addresses of
    pictures are kept: vlmrec fetch-images downloads them.
    """
    refuse_existing(out, overwrite=overwrite)
    cleaning = CleaningOptions(
        min_rating=min_rating,
        repeats=repeats,
        min_user=min_user,
        min_item=min_item,
        min_history=min_history,
    )
    raw = read_amazon(paths, images, drop_invalid=drop_invalid)
    write_dataset("amazon", raw, cleaning, out, overwrite, as_json)


def prepare_movielens(
    path: Annotated[Path, typer.Argument(help="Folder of a release, or its .zip.")],
    out: Out,
    images: Annotated[
        Path | None,
        typer.Option(help="Folder of pictures <movieId>.jpg.", rich_help_panel=READING),
    ] = None,
    min_user: MinUser = 1,
    min_item: MinItem = 1,
    min_history: MinHistory = 3,
    repeats: Repeats = "keep",
    min_rating: MinRating = None,
    drop_invalid: DropInvalid = False,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Turn MovieLens (100K, 1M, 10M, 20M and later, latest) into a dataset folder.

    Films have a title, genres and a year. Which release it is follows from its counts.
    """
    refuse_existing(out, overwrite=overwrite)
    cleaning = CleaningOptions(
        min_rating=min_rating,
        repeats=repeats,
        min_user=min_user,
        min_item=min_item,
        min_history=min_history,
    )
    raw = read_movielens(path, images, drop_invalid=drop_invalid)
    write_dataset("movielens", raw, cleaning, out, overwrite, as_json)


def prepare_microlens(
    path: Annotated[
        Path, typer.Argument(help="Folder of the dataset, or the file ..._pairs.csv or .tsv.")
    ],
    out: Out,
    titles: Annotated[
        Path | None, typer.Option(help="Lines of item,title.", rich_help_panel=READING)
    ] = None,
    tags: Annotated[
        Path | None, typer.Option(help="Lines of item,category.", rich_help_panel=READING)
    ] = None,
    images: Covers = None,
    min_user: MinUser = 1,
    min_item: MinItem = 1,
    min_history: MinHistory = 3,
    repeats: Repeats = "keep",
    drop_invalid: DropInvalid = False,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Turn MicroLens (50K, 100K, 1M) into a dataset folder.

    In a folder, titles, categories and covers are found; beside a file, they must be named.
    """
    refuse_existing(out, overwrite=overwrite)
    cleaning = CleaningOptions(
        repeats=repeats, min_user=min_user, min_item=min_item, min_history=min_history
    )
    raw = read_microlens(path, titles=titles, tags=tags, images=images, drop_invalid=drop_invalid)
    write_dataset("microlens", raw, cleaning, out, overwrite, as_json)


def prepare_pixelrec(
    path: Annotated[
        Path, typer.Argument(help="Folder of the dataset, or the file of interactions.")
    ],
    out: Out,
    items: Annotated[
        Path | None, typer.Option(help="File of item information.", rich_help_panel=READING)
    ] = None,
    images: Covers = None,
    min_user: MinUser = 1,
    min_item: MinItem = 1,
    min_history: MinHistory = 3,
    repeats: Repeats = "keep",
    drop_invalid: DropInvalid = False,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Turn PixelRec (50K, 200K, 1M, 8M) into a dataset folder.

    In a folder, files are known by their headers; beside a file, others must be named.
    """
    refuse_existing(out, overwrite=overwrite)
    cleaning = CleaningOptions(
        repeats=repeats, min_user=min_user, min_item=min_item, min_history=min_history
    )
    raw = read_pixelrec(path, items=items, images=images, drop_invalid=drop_invalid)
    write_dataset("pixelrec", raw, cleaning, out, overwrite, as_json)
